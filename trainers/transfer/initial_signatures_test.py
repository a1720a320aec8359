"""Tests of where a new task starts on a trained bank."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from mixture_modules.isometric import isometric_model
from trainers.runs import checkpoints
from trainers.testing import toy
from trainers.transfer import initial_signatures

_TASKS = {'one': 4, 'two': 4, 'three': 4}


def make_model(**changes):
  """A model whose tasks differ in all that is theirs."""
  model = isometric_model.IsometricModel(
      toy.make_config(**{'num_layers': 3, 'num_templates': 4, **changes}).model,
      _TASKS, seed=1)
  rng = np.random.default_rng(0)
  for name, variable in model.named_variables().items():
    if '/affine/' in name or name.endswith('/logits'):
      noise = rng.normal(0, 0.3, variable.shape)
      if changes.get('signature') == 'tanh':
        noise /= 2
      variable.assign(variable.numpy() + noise)
  return model


def softmax(x):
  return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


class InitialSignaturesTest(parameterized.TestCase, tf.test.TestCase):

  def test_accuracy_coefficients(self):
    scores = {'one': 0.5, 'two': 0.0, 'three': 0.75}
    a = np.array([*scores.values()])
    found = initial_signatures.accuracy_coefficients(scores)
    self.assertAllClose([*found.values()], a / a.sum())
    self.assertEqual(list(found), list(scores))
    self.assertEqual(
        initial_signatures.accuracy_coefficients({'one': 0.0, 'two': 0.0}),
        {'one': 0.5, 'two': 0.5})

  @parameterized.named_parameters(
      ('mixed', {}), ('private', {'norm': 'private', 'temperature': 2.0}),
      ('shared', {'norm': 'shared', 'signature': 'tanh'}),
      ('linear', {'signature': 'linear'}),
      ('first', {'shared_half': 'first', 'norm': 'private'}),
      ('second', {'shared_half': 'second'}))
  def test_mean_of_sources(self, changes):
    model = make_model(**changes)
    model.add_task('new', 4)
    before = checkpoints.snapshot(model.named_variables())
    c = {'three': 0.75, 'one': 0.25}
    initial_signatures.Blend(model, 'new', c).assign(c)
    xi = {name: np.array(task.signature.mixture_weights())
          for name, task in model.tasks.items()}
    self.assertAllClose(xi['new'], 0.25 * xi['one'] + 0.75 * xi['three'])
    for name, array in before.items():
      now = model.named_variables()[name].numpy()
      if '/affine/' in name and name.startswith('tasks/new/'):
        other, source = (before[name.replace('/new/', f'/{task}/')]
                         for task in ('one', 'three'))
        self.assertAllClose(now, 0.25 * other + 0.75 * source)
      elif name != 'tasks/new/signature/logits':
        self.assertEqual(now.tobytes(), array.tobytes(), name)
    twin = model.add_task('twin', 4)
    twin.signature.assign(xi['new'])
    self.assertAllClose(model.task('new').signature.logits,
                        twin.signature.logits, atol=1e-5)

  def test_detached_norms_count_as_what_they_are(self):
    model = make_model()
    model.detach('one', 'norm')
    model.task('one').affine.gamma['input'].assign_add(np.ones(8))
    task = model.add_task('new', 4)
    model.detach('new', 'norm')
    c = {'one': 0.5, 'two': 0.5}
    initial_signatures.Blend(model, 'new', c).assign(c)
    self.assertAllClose(task.affine.gamma['input'],
                        model.affine.gamma['input'] + 0.5)

  def test_mean_needs_trained_signatures_and_sources(self):
    model = make_model(signature='sequential', num_templates=3)
    with self.assertRaisesRegex(ValueError, "fixed 'sequential'"):
      initial_signatures.Blend(model, 'one', ['two'])
    with self.assertRaisesRegex(ValueError, 'received none'):
      initial_signatures.Blend(make_model(), 'one', [])

  @parameterized.parameters({}, {'norm': 'private', 'shared_half': 'first'})
  def test_gradient_of_the_mean(self, **changes):
    """As of finite differences of the network's own loss."""
    model = make_model(**changes)
    model.add_task('new', 4)
    blend = initial_signatures.Blend(model, 'new', _TASKS)
    images = np.random.default_rng(1).normal(size=(6, 8, 8, 3))
    labels = np.arange(6) % 4

    def loss(a):
      blend.assign(dict(zip(_TASKS, softmax(a))))
      _, embedding = model.encode(
          images, 'new', training=True, move_statistics=False)
      logits = model.task('new').head(embedding).numpy()
      return -np.mean(np.log(softmax(logits)[np.arange(6), labels]))

    steps = []
    for i in range(3):
      a = np.zeros(3)
      a[i] = 0.05
      steps.append((loss(a) - loss(-a)) / 0.1)
    # The first step of Adam is the learning rate against the gradient's sign.
    self.assertGreater(np.abs(steps).min(), 1e-5)
    head = model.task('new').head.kernel.numpy()
    batches = tf.data.Dataset.from_tensors((images.astype('float32'), labels))
    found = initial_signatures.learn_coefficients(
        blend, model, 'new', batches, 0.1)
    self.assertAllClose(
        [*found.values()], softmax(-0.1 * np.sign(steps)), rtol=1e-3)
    self.assertAllEqual(model.task('new').head.kernel, head)

  def test_learns_which_source_fits(self):
    model = make_model(norm='private', signature='linear')
    # Images labelled by the network of one of the tasks.
    rng = np.random.default_rng(2)
    images = rng.normal(size=(64, 8, 8, 3)).astype('float32')
    _, embedding = model.encode(images, 'two', training=True)
    task = model.add_task('new', 4)
    task.head.kernel.assign(rng.normal(size=task.head.kernel.shape))
    labels = np.argmax(task.head(embedding - np.mean(embedding, 0)), -1)
    task.head.bias.assign(-np.mean(embedding, 0) @ task.head.kernel.numpy())
    frozen = checkpoints.snapshot(
        {name: variable for name, variable in model.named_variables().items()
         if not name.startswith('tasks/new/')})
    batches = tf.data.Dataset.from_tensors((images, labels)).repeat(60)
    found = initial_signatures.learn_coefficients(
        initial_signatures.Blend(model, 'new', _TASKS), model, 'new', batches,
        0.1)
    self.assertAllClose(sum(found.values()), 1)
    self.assertGreater(found['two'], 0.8, found)
    for name, array in frozen.items():
      now = model.named_variables()[name].numpy()
      self.assertEqual(now.tobytes(), array.tobytes(), name)
    self.assertAllEqual(task.statistics.num_updates, 0)

  def test_head_of_new_classes_is_trained_along_and_set_back(self):
    model = make_model()
    task = model.add_task('new', 4)
    blend = initial_signatures.Blend(model, 'new', ['one', 'two'])
    head = checkpoints.snapshot({v.path: v for v in task.head.variables})
    found = []
    data = toy.make_data(['new'])['new']
    for train_head in (True, True, False):
      found.append(initial_signatures.learn_coefficients(
          blend, model, 'new', data.train_batches(8, 0).take(3), 0.1,
          train_head=train_head))
      for variable in task.head.variables:
        self.assertAllEqual(variable, head[variable.path])
    self.assertEqual(found[0], found[1])
    self.assertNotEqual(found[0], found[2])

  def test_random_signatures_follow_the_seed(self):
    model = make_model(shared_half='second')
    signature = model.task('one').signature
    drawn = []
    for name, seed in (('new', 3), ('new', 4), ('new', 3), ('newer', 3)):
      initial_signatures.draw(signature, name, seed)
      drawn.append(signature.logits.numpy())
    self.assertAllEqual(drawn[0], drawn[2])
    self.assertNotAllClose(drawn[0], drawn[1])
    self.assertNotAllClose(drawn[0], drawn[3])

  @parameterized.parameters(0, 1)
  def test_no_seed_repeats_how_a_source_began(self, model_seed):
    model = isometric_model.IsometricModel(
        toy.make_config(num_layers=3, num_templates=4).model, _TASKS,
        seed=model_seed)
    signature = model.add_task('new', 4).signature
    began = [task.signature.logits.numpy() for task in model.tasks.values()]
    seen = {array.tobytes() for array in began}
    for seed in range(100):
      initial_signatures.draw(signature, 'new', seed)
      seen.add(signature.logits.numpy().tobytes())
    self.assertLen(seen, len(began) + 100)


if __name__ == '__main__':
  tf.test.main()

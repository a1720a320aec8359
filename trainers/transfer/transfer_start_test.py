"""Tests of a new task on a trained bank."""

from unittest import mock

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from mixture_modules.isometric import isometric_model
from trainers.data import pipeline
from trainers.runs import checkpoints
from trainers.testing import toy
from trainers.transfer import source_scores
from trainers.transfer import transfer_config
from trainers.transfer import transfer_start

_NAMES = ['a', 'b', 'c', 'd']


def make_transfer(**changes):
  return transfer_config.TransferConfig(
      **{'source': 'runs/x', 'dataset': 'set', 'name': 'new', **changes})


def make_model(shared_head=False, **changes):
  """(model of the tasks one and two, facts of their data)."""
  config = toy.make_config(**changes)
  model = isometric_model.IsometricModel(
      config.model, {'one': 4, 'two': 4}, shared_head, seed=0)
  return model, {'one': {'class_names': _NAMES}, 'two': {}}


def make_data(class_names=None):
  data = toy.make_data(['set'])['set']
  data.class_names = class_names
  return data


def config_of(name='new', **changes):
  return toy.make_config([name], **changes)


class TransferTest(parameterized.TestCase, tf.test.TestCase):

  def begin(self, model, facts, data=None, config=None, **changes):
    asked = make_transfer(init_steps=2, **changes)
    data, config = data or make_data(), config or config_of()
    before = checkpoints.snapshot(model.named_variables())
    transfer_start.check(asked, model, facts, data, config)
    after = checkpoints.snapshot(model.named_variables())
    self.assertEqual(list(before), list(after))
    for name, array in before.items():
      self.assertEqual(after[name].tobytes(), array.tobytes(), name)
    with mock.patch.object(transfer_start, 'STATISTICS_BATCHES', 2):
      return transfer_start.begin(asked, model, facts, data, config)

  # What can be asked for

  @parameterized.parameters(
      ("has a task 'one' already.*--name", {'name': 'one'}, {}),
      ("Expected one of the tasks .*'three'", {'init': 'copy:three'}, {}),
      ("Expected one of the tasks .*'x'", {'sources': ['one', 'x']}, {}),
      ('which two lacks', {'score': 'path'}, {}),
      ("Expected a head to share, of .*'x'", {'head': 'x'}, {}),
      ('other classes|others: use', {'head': 'one'}, {'names': 'abce'}),
      ('Expected one head of tasks', {'head': 'shared'}, {'names': 'abce'}),
      ('no mixture to tune', {'tune': ['mixture']}, {'signature': 'cyclic'}),
      ("cannot start from 'learned'", {'init': 'learned'},
       {'signature': 'cyclic'}),
      ('diagonal .*needs K >= L, received K = 2, L = 3',
       {'init': 'diagonal'}, {'num_layers': 3}),
      ('warmup_steps to be below the number of training steps, 10', {},
       {'run': {'warmup_steps': 10}}),
      ('--tune=mixture leaves untrained.*--head',
       {'init': 'random', 'tune': ['mixture']}, {'names': 'abce'}),
      ('--tune=norm,templates leaves untrained',
       {'tune': ['norm', 'templates'], 'head': 'own'}, {}))
  def test_check_refuses(self, message, changes, options):
    options = {'names': 'abcd', 'run': {}, **options}
    names, run = options.pop('names'), options.pop('run')
    model, facts = make_model(**options)
    with self.assertRaisesRegex(ValueError, message):
      transfer_start.check(make_transfer(**changes), model, facts,
                     make_data(tuple(names)), config_of(**run))
    self.assertEqual(list(model.tasks), ['one', 'two'])

  @parameterized.parameters(
      {'tune': ['head', 'mixture']}, {'tune': ['all']}, {'tune': []},
      {'tune': None}, {'init': 'diagonal', 'tune': ['norm', 'head']})
  def test_check_lets_new_heads_be(self, **changes):
    model, facts = make_model()
    transfer_start.check(make_transfer(**changes), model, facts,
                   make_data(tuple('abce')), config_of())

  def test_check_of_what_is_not_trained_needs_no_schedule(self):
    model, facts = make_model()
    transfer_start.check(make_transfer(tune=[]), model, facts, make_data(),
                   config_of(warmup_steps=10))

  def test_check_knows_all_that_best_may_copy(self):
    model, facts = make_model()  # the head of two is not known to fit
    facts['three'] = facts['one']
    model.add_task('three', 4)
    with self.assertRaisesRegex(ValueError, 'leaves untrained'):
      transfer_start.check(
          make_transfer(init='best', tune=['mixture']), model, facts,
          make_data(tuple('abcd')), config_of())
    transfer_start.check(
        make_transfer(init='best', tune=['mixture'], sources=['one', 'three']),
        model, facts, make_data(tuple('abcd')), config_of())

  def test_check_refuses_what_is_not_there(self):
    model, facts = make_model()
    model.rename_task('two', 'other')
    model.detach('other', 'norm')
    with self.assertRaisesRegex(ValueError, 'model without any'):
      transfer_start.check(make_transfer(), isometric_model.IsometricModel(
          toy.make_config().model, {}), {}, make_data(), config_of())
    model.add_task('three', 4, head='new')
    for head in ('own', 'auto'):
      with self.assertRaisesRegex(ValueError, "has a head 'new' already"):
        transfer_start.check(
            make_transfer(head=head), model,
            {**facts, 'other': {}, 'three': {}}, make_data(), config_of())

  # Heads

  @parameterized.parameters(
      ('own', None, True, None), ('auto', None, True, 'shared'),
      ('shared', None, True, 'shared'), ('auto', None, False, 'one'),
      ('auto', 'one', False, 'one'), ('auto', 'two', False, 'one'),
      ('two', None, False, 'two'))
  def test_head(self, head, copied, shared_head, expected):
    model, facts = make_model(shared_head)
    self.assertEqual(transfer_start.choose_head(
        make_transfer(head=head), model, facts, make_data(tuple('abcd')),
        copied), expected)
    self.assertIsNone(transfer_start.choose_head(
        make_transfer(), model, facts, make_data(tuple('abce')), copied))
    self.assertIsNone(transfer_start.choose_head(
        make_transfer(), model, facts, make_data(), copied))

  def test_several_heads_of_the_same_classes(self):
    model, facts = make_model()
    facts['two'] = facts['one']
    data = make_data(tuple('abcd'))
    for copied, expected in ((None, None), ('two', 'two')):
      self.assertEqual(transfer_start.choose_head(
          make_transfer(), model, facts, data, copied), expected)
    with self.assertRaisesRegex(ValueError, r"received \['one', 'two'\]"):
      transfer_start.check(make_transfer(head='shared'), model, facts, data,
                     config_of())
    self.assertEqual(transfer_start.choose_head(
        make_transfer(head='shared', init='copy:two'), model, facts, data,
        'two'), 'two')

  # Beginnings

  def test_begins_as_a_copy(self):
    model, facts = make_model(norm='private')
    task = model.task('two')
    task.affine.gamma['input'].assign_add(np.ones(8))
    task.statistics.mean['input'].assign(np.ones(8))
    before = checkpoints.snapshot(model.named_variables())
    start = self.begin(model, facts, init='copy:two')
    self.assertEqual(start, {
        'init': 'copy:two', 'scored_by': None, 'scores': None,
        'score_images': None, 'coefficients': None, 'copied': 'two',
        'statistics': 'copy', 'head': 'new', 'head_shared_with': [],
        'initial_head': 'untrained', 'tune': ['head', 'norm', 'mixture']})
    for name, array in before.items():
      self.assertAllEqual(model.named_variables()[name], array)
      if name.startswith('tasks/two/'):
        self.assertAllEqual(model.named_variables()[
            name.replace('/two/', '/new/')], array)

  def test_begins_as_the_best(self):
    model, facts = make_model(shared_head=True)
    facts['two'] = facts['one']
    data = make_data(tuple('abcd'))
    expected = source_scores.path_scores(
        model, ['one', 'two'], data.eval_batches('validation', 3))
    for score, options in (('path', {}), ('probe', {'score': 'probe'})):
      start = self.begin(model, facts, data, init='best', **options)
      self.assertEqual(start['scored_by'], score)
      if score == 'path':
        self.assertEqual(start['scores'], expected)
      best = max(start['scores'], key=start['scores'].get)
      self.assertEqual(start['copied'], best)
      self.assertEqual(start['head_shared_with'], ['one', 'two'])
      self.assertEqual(start['initial_head'], 'shared')
      self.assertEqual(start['tune'], ['norm', 'mixture'])
      images = {'validation': 4, 'train': 36}
      if score == 'path':
        del images['train']
      self.assertEqual(start['score_images'], images)
      model.remove_task('new')

  def test_says_what_is_shared_after_detaching(self):
    model, facts = make_model(shared_head=True)
    start = self.begin(model, facts, make_data(tuple('abcd')), init='copy:one',
                       tune=['head'])
    self.assertEqual((start['head'], start['head_shared_with']), ('new', []))
    self.assertEqual(start['initial_head'], 'shared')
    for ours, theirs in zip(model.task('new').head.variables,
                            model.task('one').head.variables):
      self.assertIsNot(ours, theirs)
      self.assertAllEqual(ours, theirs)

  def test_scores_read_no_more_labels_than_are_learnt_from(self):
    model, facts = make_model(shared_head=True)
    facts['two'] = facts['one']
    data = toy.make_data(['set'], {'train': 200, 'test': 5})['set']
    data.class_names = tuple('abcd')
    for per_class, images in ((None, 20), (2, 8)):
      start = self.begin(model, facts, data, examples_per_class=per_class)
      self.assertEqual(start['score_images'], {'validation': images})
      model.remove_task('new')

  def test_begins_as_a_mean(self):
    model, facts = make_model()
    data = make_data()
    with mock.patch.object(source_scores, 'probe_scores',
                           lambda *_, **unused: {'one': 0.2, 'two': 0.6}):
      start = self.begin(model, facts, data, init='accuracy')
    self.assertAllClose(start['coefficients'], {'one': 0.25, 'two': 0.75})
    self.assertEqual(start['statistics'], 'reestimate')
    xi = {name: np.array(task.signature.mixture_weights())
          for name, task in model.tasks.items()}
    self.assertAllClose(xi['new'], 0.25 * xi['one'] + 0.75 * xi['two'])
    self.assertAllEqual(model.task('new').statistics.num_updates, 2)
    model.remove_task('new')
    start = self.begin(model, facts, data, init='learned', sources=['two'])
    self.assertEqual(start['initial_head'], 'untrained')
    self.assertEqual(start['coefficients'], {'two': 1.0})
    self.assertAllClose(model.task('new').signature.mixture_weights(),
                        xi['two'])

  def test_begins_at_random_by_the_seed(self):
    model, facts = make_model()
    logits = []
    for seed, init in ((1, 'random'), (2, 'random'), (1, 'none')):
      self.begin(model, facts, config=config_of(seed=seed), init=init)
      logits.append(model.task('new').signature.logits.numpy())
      model.remove_task('new')
    self.assertAllEqual(logits[0], logits[2])
    self.assertNotAllClose(logits[0], logits[1])
    self.begin(model, facts, init='uniform')
    self.assertAllClose(model.task('new').signature.mixture_weights(),
                        np.full([2, 2], 0.5))

  def test_fixed_signatures(self):
    model, facts = make_model(signature='cyclic')
    start = self.begin(model, facts, init='copy:one', statistics='reestimate')
    self.assertEqual(start['tune'], ['head', 'norm'])
    self.assertEqual(start['statistics'], 'reestimate')
    self.assertAllEqual(model.task('new').statistics.num_updates, 2)

  # Training

  @parameterized.parameters(
      {'tune': ['mixture'], 'moved': {'signature'}},
      {'tune': ['head'], 'moved': {'head'}},
      {'tune': ['norm', 'mixture', 'head', 'input_adapter'],
       'moved': {'affine', 'signature', 'head', 'input_adapter'}})
  def test_nothing_else_moves(self, tune, moved):
    model, facts = make_model(shared_head=True)
    data = make_data(tuple('abcd'))
    self.begin(model, {'one': facts['one'], 'two': facts['one']}, data,
               init='copy:one')
    images = np.random.default_rng(0).normal(size=(5, 8, 8, 3))
    outputs = {name: model(images, task=name).numpy()
               for name in ('one', 'two')}
    config = config_of(learning_rate=0.1, ema_decay=0.5)
    tuning = transfer_start.Tuning(model, 'new', tune, data, config)
    trainer = tuning.trainer
    before = checkpoints.snapshot(model.named_variables())
    toy.run_steps(trainer, 3)
    with tuning.averaged():
      after = checkpoints.snapshot(model.named_variables())
      for name, expected in outputs.items():
        self.assertEqual(model(images, task=name).numpy().tobytes(),
                         expected.tobytes())
    changed = {name for name, array in before.items()
               if array.tobytes() != after[name].tobytes()}
    owners = {name.split('/')[2] if name.startswith('tasks/new/') else
              name.replace('heads/new', 'head').split('/')[0]
              for name in changed}
    self.assertEqual(owners, moved | {'statistics', 'num_updates'})
    sizes = sum(before[name].size for name in changed
                if 'statistics' not in name and 'num_updates' not in name)
    self.assertEqual((tuning.num_parameters, tuning.steps), (sizes, 10))
    self.assertEqual(trainer.images_per_step, 8)
    self.assertEqual(list(trainer.evaluate('test')), ['new'])

  def test_templates_move_others(self):
    model, facts = make_model()
    self.begin(model, facts, init='copy:one')
    bank = model.bank.templates('expand/kernel').numpy()
    tuning = transfer_start.Tuning(
        model, 'new', ['templates', 'head'], make_data(),
        config_of(learning_rate=0.1))
    head = model.task('one').head.kernel.numpy()
    toy.run_steps(tuning.trainer, 2)
    self.assertNotAllClose(model.bank.templates('expand/kernel'), bank)
    self.assertAllEqual(model.task('one').head.kernel, head)

  def test_nothing_is_trained(self):
    model, _ = make_model()
    tuning = transfer_start.Tuning(
        model, 'one', [], make_data(), config_of('one'))
    with tuning.averaged():
      self.assertEqual(
          (tuning.trainer, tuning.steps, tuning.num_parameters,
           tuning.run('nowhere', None, {})), (None, 0, 0, 0.0))

  def test_loads_data_and_says_what_it_is(self):
    data = make_data()
    with mock.patch.object(pipeline, 'load_tasks',
                           return_value={'set': data}) as load:
      found, facts = transfer_start.load_data(
          make_transfer(examples_per_class=3), config_of(seed=7), 'there')
    load.assert_called_once_with(
        ['set'], 8, 'there', None, 3, 7, made_up=False)
    self.assertIs(found, data)
    self.assertEqual(facts, {
        **data.describe(), 'dataset': 'set', 'examples_per_class': 3,
        'examples_seed': 7})
    with mock.patch.object(pipeline, 'load_tasks',
                           return_value={'set': data}):
      self.assertEqual(
          transfer_start.load_data(
              make_transfer(name='set'), config_of('set'))[1],
          data.describe())


if __name__ == '__main__':
  tf.test.main()

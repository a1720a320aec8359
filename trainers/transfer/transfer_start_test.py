"""Tests of a new task on a trained bank."""

import functools
from unittest import mock

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from mixture_modules.isometric import isometric_model
from trainers import moving_statistics
from trainers.runs import checkpoints
from trainers.runs import results
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


# For tests that change nothing.
_shared_model = functools.cache(make_model)


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
      ("name that no task of runs/x has, received 'one'", {'name': 'one'}, {}),
      ("init to be one of copy:one, copy:two, received 'copy:three'",
       {'init': 'copy:three'}, {}),
      ("sources to be one of one, two, received 'x'",
       {'sources': ['one', 'x']}, {}),
      ('received two, which lacks them', {'score': 'path'}, {}),
      ("Expected a head to share, of .*'x'", {'head': 'x'}, {}),
      ('4 classes of one for head .*others: use head=own',
       {'head': 'one'}, {'names': 'abce'}),
      ('Expected one head of tasks .*as head, or', {'head': 'shared'},
       {'names': 'abce'}),
      ('signature to tune the mixture of', {'tune': ['mixture']},
       {'signature': 'cyclic'}),
      ('signatures are fixed .cyclic., received learned', {'init': 'learned'},
       {'signature': 'cyclic'}),
      ('diagonal .*needs K >= L, received K = 2, L = 3',
       {'init': 'diagonal'}, {'num_layers': 3}),
      ('warmup_steps to be below the number of training steps, 10', {},
       {'run': {'warmup_steps': 10}}),
      ('received tune=mixture, which leaves it untrained: .*as head one',
       {'init': 'random', 'tune': ['mixture']}, {'names': 'abce'}),
      ('own, received tune=norm,templates, which leaves',
       {'tune': ['norm', 'templates'], 'head': 'own'}, {}))
  def test_check_refuses(self, message, changes, options):
    options = {'names': 'abcd', 'run': {}, **options}
    names, run = options.pop('names'), options.pop('run')
    model, facts = _shared_model(**options)
    with self.assertRaisesRegex(ValueError, message):
      transfer_start.check(make_transfer(**changes), model, facts,
                     make_data(tuple(names)), config_of(**run))
    self.assertEqual(list(model.tasks), ['one', 'two'])

  @parameterized.parameters(
      {'tune': ['head', 'mixture']}, {'tune': ['all']}, {'tune': []},
      {'tune': None}, {'init': 'diagonal', 'tune': ['norm', 'head']})
  def test_check_lets_new_heads_be(self, **changes):
    model, facts = _shared_model()
    transfer_start.check(make_transfer(**changes), model, facts,
                   make_data(tuple('abce')), config_of())

  def test_check_of_what_is_not_trained_needs_no_schedule(self):
    model, facts = _shared_model()
    transfer_start.check(make_transfer(tune=[]), model, facts, make_data(),
                   config_of(warmup_steps=10))

  def test_check_knows_all_that_best_may_copy(self):
    model, facts = make_model()  # the head of two is not known to fit
    facts['three'] = facts['one']
    model.add_task('three', 4)
    with self.assertRaisesRegex(ValueError, 'leaves it untrained'):
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
      with self.assertRaisesRegex(ValueError, "no head .* received 'new'"):
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
    model, facts = _shared_model(shared_head)
    self.assertEqual(transfer_start.choose_head(
        make_transfer(head=head), model, facts, make_data(tuple('abcd')),
        copied), expected)
    self.assertIsNone(transfer_start.choose_head(
        make_transfer(), model, facts, make_data(tuple('abce')), copied))
    self.assertIsNone(transfer_start.choose_head(
        make_transfer(), model, facts, make_data(), copied))

  def test_several_heads_of_the_same_classes(self):
    model, facts = _shared_model()
    facts = dict.fromkeys(model.tasks, facts['one'])
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
    self.assertEqual(start, results.TransferStart(
        init='copy:two', scored_by=None, scores=None, score_images=None,
        coefficients=None, copied='two', statistics='copy',
        tune=('head', 'norm', 'mixture'), head='new', head_shared_with=(),
        initial_head='untrained'))
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
      self.assertEqual(start.scored_by, score)
      if score == 'path':
        self.assertEqual(start.scores, expected)
      best = max(start.scores, key=start.scores.get)
      self.assertEqual(start.copied, best)
      self.assertEqual(start.head_shared_with, ('one', 'two'))
      self.assertEqual(start.initial_head, 'shared')
      self.assertEqual(start.tune, ('norm', 'mixture'))
      images = {'validation': 4, 'train': 36}
      if score == 'path':
        del images['train']
      self.assertEqual(start.score_images, images)
      model.remove_task('new')

  def test_says_what_is_shared_after_detaching(self):
    model, facts = make_model(shared_head=True)
    start = self.begin(model, facts, make_data(tuple('abcd')), init='copy:one',
                       tune=['head'])
    self.assertEqual((start.head, start.head_shared_with), ('new', ()))
    self.assertEqual(start.initial_head, 'shared')
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
      self.assertEqual(start.score_images, {'validation': images})
      model.remove_task('new')

  def test_begins_as_a_mean(self):
    model, facts = make_model()
    data = make_data()
    with mock.patch.object(source_scores, 'probe_scores',
                           lambda *_, **unused: {'one': 0.2, 'two': 0.6}):
      start = self.begin(model, facts, data, init='accuracy')
    self.assertAllClose(start.coefficients, {'one': 0.25, 'two': 0.75})
    self.assertEqual(start.statistics, 'reestimate')
    xi = {name: np.array(task.signature.mixture_weights())
          for name, task in model.tasks.items()}
    self.assertAllClose(xi['new'], 0.25 * xi['one'] + 0.75 * xi['two'])
    self.assertAllEqual(model.task('new').statistics.num_updates, 2)
    model.remove_task('new')
    start = self.begin(model, facts, data, init='learned', sources=['two'])
    self.assertEqual(start.initial_head, 'untrained')
    self.assertEqual(start.coefficients, {'two': 1.0})
    self.assertAllClose(model.task('new').signature.mixture_weights(),
                        xi['two'])

  def test_begins_at_random_by_the_seed(self):
    model, facts = make_model()
    self.enterContext(mock.patch.object(moving_statistics, 'reestimate'))
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
    self.assertEqual(start.tune, ('head', 'norm'))
    self.assertEqual(start.statistics, 'reestimate')
    self.assertAllEqual(model.task('new').statistics.num_updates, 2)


if __name__ == '__main__':
  tf.test.main()

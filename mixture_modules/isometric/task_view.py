"""One task of an isometric model as a Keras model of its own (section 4.3)."""

import keras

from mixture_modules import bank_sharing
from mixture_modules.isometric import parameters


@keras.saving.register_keras_serializable(package='mixture_modules')
class TaskView(keras.Model):
  """What one task of an `IsometricModel` computes, as an ordinary model.

      svhn = model.view('svhn')
      svhn.compile('rmsprop', 'sparse_categorical_crossentropy')
      svhn.fit(images, labels)

  It computes with the model's own variables. It has, counts, trains and saves
  those that the task uses, and nothing of other tasks. A file of it holds a
  model of this task alone. Freezing a view freezes what other views share with
  it, too.

  Args:
    model: `IsometricModel`.
    task: Name of the task. Default: the only one there is.
    **kwargs: As for any Keras model.

  Call arguments:
    images: `[batch, height, width, 3]` floats, usually in [-1, 1].
    training: Whether to use batch statistics and dropout.

  Returns:
    `[batch, classes]` float32 logits.

  Raises:
    ValueError: For a task that is not there; in a call, if the task has got
      or lost parts since.

  Source: section 4.3.
  """

  def __init__(self, model, task=None, **kwargs):
    super().__init__(dtype=model.dtype_policy, **kwargs)
    self.task = model.task(task)
    self.block = model.block
    self.dropout_seeds = model.dropout_seeds
    self._parts = parameters.shared_parts(model, self.task)
    self._source = lambda: model  # an attribute would count as a layer
    self.built = True
    self._build_shapes_dict = dict(model._build_shapes_dict)  # for exports

  def call(self, images, training=False):
    """Logits of the task."""
    model, name = self.source(), self.task.task_name
    parts = parameters.shared_parts(model, model.task(name))
    if model.task(name) is not self.task or [*map(id, parts)] != [
        *map(id, self._parts)]:
      raise ValueError(
          f'Expected the task {name!r} as it was when this view was made, '
          'received one with other parts: make the view again.')
    return model.call(
        images, task=name, training=training and self.trainable)

  def source(self):  # no property: Keras' saving would walk into it
    """The `IsometricModel` of which this shows a task."""
    return self._source()

  def export(self, *args, **kwargs):
    """As of any Keras model, which need not have been called before."""
    shape = self._build_shapes_dict['images']
    self(keras.ops.zeros((1, *shape[1:])))
    super().export(*args, **kwargs)

  def get_config(self):
    """The model with this task alone."""
    model = keras.saving.serialize_keras_object(self.source())
    model.pop('compile_config', None)
    name = self.task.task_name
    config = model['config']
    config['tasks'] = [task for task in config['tasks']
                       if task['name'] == name]
    own = f'tasks/{name}/'
    config['frozen'] = [
        part for part in config['frozen']
        if not part.startswith(('tasks/', 'heads/')) or part.startswith(own)
        or part == f'heads/{self.task.head_name}']
    return {'name': self.name, 'trainable': self.trainable, 'task': name,
            'model': {**model, **bank_sharing.describe(self.source(), 1)}}

  @classmethod
  def from_config(cls, config):
    """Makes the view, and a model with its task, with fresh weights.

    Views that a file holds side by side are of one model again.
    """
    config = dict(config)
    source, trainable = config.pop('model'), config.pop('trainable')
    model = bank_sharing.restore(_make_model, source)
    model.add_from_config(*(
        source['config'][key] for key in ('tasks', 'frozen')))
    view = cls(model, **config)
    if not trainable:
      view.trainable = False
    return view


def _make_model(**config):
  return keras.saving.deserialize_keras_object(config)

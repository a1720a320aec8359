"""The bank of drop-in layers grows and shrinks; they compute what they did."""

import os

import keras
import tensorflow as tf

from mixture_modules import bank_growth
from mixture_modules import mixture_conv
from mixture_modules import template_bank
from mixture_modules.testing import toy_models


class BankGrowthTest(tf.test.TestCase):

  def test_drop_in_layers(self):
    bank = template_bank.TemplateBank(2)
    layers = [mixture_conv.MixtureConv2D(
        3, 1, bank=bank, kernel_regularizer='l2') for _ in range(2)]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    images = toy_models.make_images()
    before = model(images)
    signatures = [layer.signature for layer in layers]
    bank_growth.add_in_bank(bank, signatures, 2)
    bank_growth.duplicate_in_bank(bank, signatures, 1)
    self.assertAllClose(before, model(images), 1e-5, 1e-5)
    bank_growth.drop_in_bank(bank, signatures, [3, 4])
    self.assertAllClose(before, model(images), 1e-5, 1e-5)
    self.assertLen(model.losses, 1)
    path = os.path.join(self.get_temp_dir(), 'model.keras')
    model.save(path)
    self.assertAllEqual(model(images), keras.saving.load_model(path)(images))


if __name__ == '__main__':
  tf.test.main()

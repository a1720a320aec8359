"""Compositional models: layers that are mixtures of shared templates.

The idea in one line: every layer computes with `sum_k xi[k] * theta[k]`, where
the templates theta belong to a shared `TemplateBank` and the mixture xi to a
task and a layer.
"""

from mixture_modules import optimizers
from mixture_modules import regularizers
from mixture_modules.bank_sharing import copy_model
from mixture_modules.bank_sharing import load_model
from mixture_modules.bank_sharing import sharing
from mixture_modules.converting import convert
from mixture_modules.families import TaskFamily
from mixture_modules.isometric.folding import fold
from mixture_modules.isometric.isometric_config import IsometricConfig
from mixture_modules.isometric.isometric_model import IsometricModel
from mixture_modules.isometric.task_files import load_task
from mixture_modules.isometric.task_files import save_task
from mixture_modules.layer_normalization import MixtureLayerNormalization
from mixture_modules.mixture_conv import MixtureConv1D
from mixture_modules.mixture_conv import MixtureConv2D
from mixture_modules.mixture_conv_transpose import MixtureConv2DTranspose
from mixture_modules.mixture_dense import MixtureDense
from mixture_modules.mixture_dense import MixtureEinsumDense
from mixture_modules.mixture_depthwise import MixtureDepthwise
from mixture_modules.mixture_se import MixtureSE
from mixture_modules.normalization import MixtureBatchNormalization
from mixture_modules.reports import forecast
from mixture_modules.reports import report
from mixture_modules.signatures import Signature
from mixture_modules.signatures import interpolate
from mixture_modules.signatures import mean_mixture
from mixture_modules.signatures import total_variation
from mixture_modules.template_bank import TemplateBank
from mixture_modules.version import __version__ as __version__
from mixture_modules.weight_averaging import WeightAveraging

__all__ = [
    'IsometricConfig', 'IsometricModel', 'MixtureBatchNormalization',
    'MixtureConv1D', 'MixtureConv2D', 'MixtureConv2DTranspose', 'MixtureDense',
    'MixtureDepthwise', 'MixtureEinsumDense', 'MixtureLayerNormalization',
    'MixtureSE', 'Signature', 'TaskFamily', 'TemplateBank', 'WeightAveraging',
    'convert', 'copy_model', 'fold', 'forecast', 'interpolate', 'load_model',
    'load_task', 'mean_mixture', 'optimizers', 'regularizers', 'report',
    'save_task', 'sharing', 'total_variation']

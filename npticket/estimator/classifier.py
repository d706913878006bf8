"""A classifier of scikit-learn that is trained, pruned and reset, round after round (Frankle & Carbin 2019).

Its parameters have the names of MLPClassifier's where they mean the same.
"""

import math
import warnings
from dataclasses import dataclass, replace
from itertools import islice
from numbers import Integral

import numpy as np

from npticket.backend import Array
from npticket.estimator.parameters import Parameters
from npticket.export import to_sparse
from npticket.nets import mlp
from npticket.params import Params
from npticket.protocols import Net
from npticket.prune import Layerwise, Rule, dense_masks, density, magnitude
from npticket.record import Fit
from npticket.streams import Place
from npticket.task import CLASSIFY, classify_weighted
from npticket.tickets import find_tickets
from npticket.train import fit

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, clone
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils import Bunch, Tags, check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError as error:
    said = "npticket.estimator needs scikit-learn 1.6 or later: python -m pip install --upgrade scikit-learn"
    raise ImportError(said) from error


@dataclass(eq=False, repr=False)
class LotteryTicketClassifier(ClassifierMixin, BaseEstimator, Parameters):
    """A sparse network: the dense one is trained, its smallest weights go, what is left is reset and trained again.

    Inputs are not scaled: put a StandardScaler before it. Sparse ones are made dense. The network has the hidden layers
    of `hidden_layer_sizes`, or is `net`, for X of shape (N, *net.input_shape) or flat, in `predict` as in `fit`. After
    the dense network come at most `rounds` rounds. Each prunes `prune_rate` of the surviving weights of every layer,
    half as much of the last, and resets the others to their initial values, or those after `rewind_step` steps. It ends
    earlier at the first ticket with at most `density` of the weights. With `tolerance` the smallest ticket is taken
    whose accuracy on validation examples is at most that much below the dense network's: 0.01 is a point. A run trains
    for `max_iter` epochs, or until `patience` of them in a row brought no new minimum of the validation loss. With
    `tolerance` or `patience`, `validation_fraction` of the examples are set aside, and networks predict as at that
    minimum. `solver` is "adam" or "sgd". An epoch is cut into equal minibatches of `batch_size`, or of at most 200
    where that is "auto"; the examples left over are not used in it. `random_state` is the seed, if it is an integer.

    After `fit`: `classes_`; the ticket as Params with one trial, `masks_` (True survives), `theta0_` that it was reset
    to, `theta_` that it was trained to, and its network `net_`; `coefs_` and `intercepts_`, layer by layer;
    `density_`, the fraction of weights left; `rounds_`, how often it was pruned; `n_iter_`, epochs trained, and
    `loss_curve_`, the mean training loss in each, both of the ticket's last run; `path_`, as `lottery_path` returns it.
    Without validation examples its `validation_scores` are NaN.
    """

    def fit(self, X: Array, y: Array, sample_weight: Array = None) -> "LotteryTicketClassifier":
        """Find the ticket.     X (N, features)   y (N,), labels of any kind   sample_weight (N,)

        An example of weight 3 counts as three in its minibatch. If one minibatch holds all examples, the result is, up
        to rounding, as if it were there three times. ValueError says what is wrong with the input or a parameter;
        DivergedError that the loss became infinite or NaN: scale the inputs, or take a smaller learning rate.
        """
        self.__dict__.pop("_ticket", None)  # if this fit fails, the classifier is not fitted
        self._check()
        seed = self.random_state
        seed = int(seed) if isinstance(seed, Integral) else int(check_random_state(seed).randint(2**31 - 1))
        x, classes, codes, weights = self._examples(X, y, sample_weight)
        net = self.net if self.net is not None else mlp(self._sizes(), x.shape[1:], len(classes))
        task = CLASSIFY if weights is None else classify_weighted(len(classes))
        data, place = self._split(self._shaped(x, net), codes, weights, seed), Place(seed)
        setting = self._setting(len(data.train))
        theta0 = net.init(place.rngs("init"), x.dtype)
        masks = dense_masks(theta0)
        if self.rewind_step:
            early = replace(setting, steps=self.rewind_step, first_step=0, patience=None)
            theta0 = fit(net, task, theta0, masks, data, early, place).end
        prune = Rule(magnitude, Layerwise({theta0.weights[-1]: self.prune_rate / 2, "*/W": self.prune_rate}))
        found: list[Found] = []

        def train(start: Params, masks: Params) -> Params:
            result = fit(net, task, start, masks, data, setting, place)
            found.append(self._found(masks, result))
            return result.end

        for _ in islice(find_tickets(theta0, masks, train=train, prune=prune), self.rounds + 1):
            if self.density is not None and found[-1].density <= self.density:
                break
        self.classes_ = classes
        return self._take(net, theta0, found)

    def lottery_path(self, X: Array, y: Array, sample_weight: Array = None) -> Bunch:
        """Run all rounds and return what each gives, to choose `density` or `tolerance`; the classifier is not changed.

        A Bunch of arrays (rounds + 1,), the dense network first: `densities`, `validation_scores` (accuracy),
        `losses` (training, of the last epoch) and `n_iters`.
        """
        return clone(self).set_params(density=None, tolerance=0.0).fit(X, y, sample_weight).path_

    def predict(self, X: Array) -> np.ndarray:
        """Return the most probable class of each example (N,), one of `classes_`."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def predict_proba(self, X: Array) -> np.ndarray:
        """Return the probability of each of `classes_` (N, C)."""
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X: Array) -> np.ndarray:
        """Return the logarithm of the probability of each of `classes_` (N, C)."""
        check_is_fitted(self)
        z = self._ticket.predict(self._shaped(self._checked(X, reset=False), self.net_))
        z = z - z.max(axis=1, keepdims=True)
        return z - np.log(np.exp(z).sum(axis=1, keepdims=True))

    @property
    def coefs_(self) -> list[np.ndarray]:
        """The weights of each layer; (I, O) if it is a dense layer."""
        return [self.theta_[name][0] for name in self.theta_.weights]

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """The biases of each layer that has biases, (O,)."""
        return [self.theta_[name][0].ravel() for name in self.theta_ if name.endswith("/b")]

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_ticket")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _examples(self, X: Array, y: Array, sample_weight: Array) -> tuple[Array, Array, Array, Array | None]:
        """Return examples as floats, classes, those of examples as numbers, and weights: without those of weight 0."""
        x, y = self._checked(X, y)
        check_classification_targets(y)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, x, dtype=x.dtype)
            if (weights < 0).any() or not weights.any():
                raise ValueError("sample_weight must not be negative, nor 0 for all examples")
            x, y, weights = x[weights > 0], y[weights > 0], weights[weights > 0]
        return x, *np.unique(y, return_inverse=True), weights

    def _checked(self, X: Array, *y: Array, reset: bool = True) -> Array:
        """Return X, or X and y, after scikit-learn's check."""
        if isinstance(X, np.ma.MaskedArray):
            raise ValueError("X is a masked array, and a network needs a number in each place: fill it (X.filled(...))")
        accepts = {"dtype": (np.float64, np.float32), "allow_nd": self.net is not None, "accept_sparse": "csr"}
        return validate_data(self, X, *y, reset=reset, **accepts)

    def _shaped(self, x: Array, net: Net) -> np.ndarray:
        """Return examples as the network takes them, dense."""
        x = x.toarray() if hasattr(x, "toarray") else x
        if x[0].size != math.prod(net.input_shape) or (x.ndim > 2 and x.shape[1:] != tuple(net.input_shape)):
            raise ValueError(f"X has examples of shape {x.shape[1:]}, {net.name} takes {net.input_shape}")
        return x.reshape(len(x), *net.input_shape)

    def _found(self, masks: Params, result: Fit) -> "Found":
        curve, stop = result["train_loss"][0], result.at_steps == result["early_stop_step"][0]
        score = float(result["val_acc"][0, stop][0]) if self._is_validated else np.nan
        theta = result.best if self._is_validated else result.end
        return Found(masks, theta, float(density(masks)[0]), score, curve[~np.isnan(curve)].tolist())

    def _take(self, net: Net, theta0: Params, found: list["Found"]) -> "LotteryTicketClassifier":
        """Set the fitted attributes to the ticket that the parameters ask for."""
        self.path_ = Bunch(
            densities=np.array([one.density for one in found]),
            validation_scores=np.array([one.score for one in found]),
            losses=np.array([one.losses[-1] for one in found]),
            n_iters=np.array([len(one.losses) for one in found]),
        )
        if self.density is not None and found[-1].density > self.density:
            said = f"{self.rounds} rounds leave {found[-1].density:.3g} of the weights, more than {self.density}"
            warnings.warn(f"{said}: take more rounds, or a higher prune_rate", ConvergenceWarning, stacklevel=3)
        self.rounds_ = len(found) - 1
        if self.tolerance is not None:
            self.rounds_ = max(i for i, one in enumerate(found) if one.score >= found[0].score - self.tolerance)
        one = found[self.rounds_]
        self.net_, self.theta0_, self.masks_, self.theta_ = net, theta0, one.masks, one.theta
        self.density_, self.loss_curve_, self.n_iter_ = one.density, one.losses, len(one.losses)
        self._ticket = to_sparse(net, one.theta, one.masks)
        return self


@dataclass(frozen=True)
class Found:
    """The result of a round: its masks and trained parameters, and the numbers of its run."""

    masks: Params
    theta: Params
    density: float
    score: float
    losses: list[float]

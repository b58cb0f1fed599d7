r"""Ratings in closed form: biases, and a residual by kernel ridge regression for each user.

With the kernel K of the items' content (see :mod:`kgrec.model.propagation`), the rating of item
i by user u is predicted as

.. math:: \mu + b_u + b_i + \sum_{j \in I_u} G_{ij} w_{uj}

Item biases are a Gaussian process: their covariance is :math:`P = c K + (1 - c) I`, their noise
:math:`\lambda / n_j` for n ratings, so that :math:`b = P (P + \lambda N^{-1})^{-1} m` for the
means m of what is left of the ratings.  With c = 0 that is the usual shrunken mean; an item
without ratings has a bias by content.  User biases are shrunken means.

The weights of a user minimise the squared error of what is then left, with a ridge penalty:
:math:`w_u = (G_{uu} + \rho I)^{-1} e_u`.  The covariance G starts from :math:`P' = c' K +
(1 - c') I` and takes a step of expectation maximisation (Yu, Zhu, Lafferty and Gong, Fast
nonparametric matrix factorization for large-scale collaborative filtering, SIGIR 2009), of low
rank, without its negative part, and of a chosen length:

.. math:: G = P' + s P' B P', \quad B = \frac{1}{U} \sum_u (w_u w_u^T \rho / \sigma^2 - A_u^{-1})

with :math:`A_u = G_{uu} + \rho I` before the step.  What users have shown of warm items thereby
reaches a new item through its content.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kgrec.model.head import factor_positive, solve_ridge

BIAS_ROUNDS = 6  # of user and item biases in turn, which settle within few
COVARIANCE_RANK = 64
OVERSAMPLING = 8
POWER_STEPS = 3  # of the randomised range finder
SMALLEST_VALUE = 1e-3  # eigenvalues smaller than this share of the largest are noise


@dataclass(frozen=True, slots=True)
class RatingSettings:
    """How ratings are predicted.

    Parameters
    ----------
    user_shrinkage
        How many ratings at the mean each user is given beside the own ones.
    item_shrinkage
        The same of each item.
    bias_content
        Share of content in the item biases, 0 to 1.
    ridge
        Ridge penalty of the residual; infinite for biases alone.
    content
        Share of content in the residual, 0 to 1.
    covariance
        Length of the step towards the covariance that the ratings show; 0 for none.
    error
        Root mean squared error on the validation ratings; NaN where nothing could be validated.
    """

    user_shrinkage: float = 5.0
    item_shrinkage: float = 5.0
    bias_content: float = 0.6
    ridge: float = 10.0
    content: float = 0.5
    covariance: float = 4.0
    error: float = float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Ratings:
    """Ratings, sorted by user and item, one a pair.

    Parameters
    ----------
    user, item
        Positions, [M] int64.
    value
        [M] float64.
    users, items
        How many there are.
    """

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    value: NDArray[np.float64]
    users: int
    items: int

    def __len__(self) -> int:
        return len(self.value)

    def select(self, rows: NDArray[np.bool_]) -> Ratings:
        """Keep some rows, [M]."""
        return replace(self, user=self.user[rows], item=self.item[rows], value=self.value[rows])

    def among(self, items: NDArray[np.int64]) -> Ratings:
        """Keep the ratings of some items, ascending, which are counted anew from 0."""
        place = np.full(self.items, -1)
        place[items] = np.arange(len(items))
        kept = self.select(place[self.item] >= 0)
        return replace(kept, item=place[kept.item], items=len(items))

    def item_counts(self) -> NDArray[np.int64]:
        """Count the ratings of each item, [items]."""
        return np.bincount(self.item, minlength=self.items)

    def of_user(self, user: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Give the items and ratings of one user."""
        rows = slice(*np.searchsorted(self.user, (user, user + 1)))
        return self.item[rows], self.value[rows]

    def by_user(self) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.float64]]]:
        """Give each user who has ratings, with items and ratings."""
        for user in np.unique(self.user).tolist():
            yield user, *self.of_user(user)


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """Items to predict ratings of.

    Parameters
    ----------
    cross
        Content kernel with the W items that were learned from, [T, W].
    own
        Which of the W an item is itself, [T]; -1 for none.
    """

    cross: Tensor
    own: NDArray[np.int64]

    def prior(self, share: float) -> Tensor:
        """Give ``share K + (1 - share) I`` with the W items, [T, W]."""
        prior = share * self.cross
        known = np.flatnonzero(self.own >= 0)
        prior[known, self.own[known]] += 1.0 - share
        return prior


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """What is known of one user.

    Parameters
    ----------
    bias
        Bias of the user.
    items
        Rated items among the W, [n].
    weights
        Weights of their residuals, [n].
    """

    bias: float
    items: NDArray[np.int64]
    weights: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class RatingHead:
    """Everything that was solved.

    Parameters
    ----------
    settings
        How ratings are predicted.
    kernel
        Content kernel of the W items that were learned from, [W, W] float32.
    mean
        Mean rating.
    bias_weights
        Weights of the W items in the biases of all, [W].
    item_bias
        Biases of the W items, [W].
    projection
        The step of the covariance is ``P' projection projection^T P'``, [W, R].
    loadings
        ``P' projection``, [W, R].
    """

    settings: RatingSettings
    kernel: Tensor
    mean: float
    bias_weights: Tensor
    item_bias: NDArray[np.float64]
    projection: Tensor
    loadings: Tensor

    @classmethod
    def solve(
        cls, ratings: Ratings, kernel: Tensor, settings: RatingSettings, seed: int
    ) -> RatingHead:
        """Solve the biases and the covariance.

        Parameters
        ----------
        ratings
            Ratings of W items, each of which has one at least.
        kernel
            Content kernel among them, [W, W].
        settings
            How ratings are predicted.
        seed
            Of the low-rank step.

        Returns
        -------
        RatingHead
            Ready to predict.
        """
        return cls.solve_biases(ratings, kernel, settings).with_covariance(ratings, seed)

    @classmethod
    def solve_biases(cls, ratings: Ratings, kernel: Tensor, settings: RatingSettings) -> RatingHead:
        """Solve the biases in turn; the residual is left to content alone."""
        mean = float(ratings.value.mean())
        count = ratings.item_counts()
        user_count = np.bincount(ratings.user, minlength=ratings.users)
        noise = torch.as_tensor(settings.item_shrinkage / count, dtype=torch.float32)
        prior = Targets(kernel, np.arange(ratings.items)).prior(settings.bias_content)
        prior.diagonal().add_(noise)
        factor = factor_positive(prior)
        user_bias = np.zeros(ratings.users)
        for _ in range(BIAS_ROUNDS):
            left = ratings.value - mean - user_bias[ratings.user]
            means = np.bincount(ratings.item, left, ratings.items) / count
            column = torch.as_tensor(means, dtype=torch.float32)[:, None]
            weights = solve_ridge(factor, column)[:, 0]
            # P (P + D)^-1 m = m - D (P + D)^-1 m
            item_bias = means - (noise * weights).numpy().astype(np.float64)
            left = ratings.value - mean - item_bias[ratings.item]
            total = np.bincount(ratings.user, left, ratings.users)
            user_bias = total / (user_count + settings.user_shrinkage)
        nothing = torch.zeros(ratings.items, 0)
        return cls(settings, kernel, mean, weights, item_bias, nothing, nothing)

    def with_residual(self, settings: RatingSettings) -> RatingHead:
        """Keep the biases, and predict the residual otherwise, by content alone at first."""
        nothing = self.loadings[:, :0]
        return replace(self, settings=settings, projection=nothing, loadings=nothing)

    def with_covariance(self, ratings: Ratings, seed: int) -> RatingHead:
        """Take the step towards the covariance that the ratings show.

        Parameters
        ----------
        ratings
            As in :meth:`solve`.
        seed
            Of the randomised range finder (Halko, Martinsson and Tropp, SIAM Review 2011).

        Returns
        -------
        RatingHead
            The same where the settings ask for no step.
        """
        if not self.settings.covariance or np.isinf(self.settings.ridge):
            return self
        shown = self._shown(ratings)
        prior = Targets(self.kernel, np.arange(len(self.kernel))).prior(self.settings.content)
        size = min(COVARIANCE_RANK + OVERSAMPLING, len(prior))
        drawn = np.random.default_rng(seed).standard_normal((len(prior), size))
        basis = torch.as_tensor(drawn, dtype=torch.float32)
        for _ in range(POWER_STEPS):
            basis = torch.linalg.qr(prior @ (shown @ (prior @ basis)))[0]
        small = basis.T @ (prior @ (shown @ (prior @ basis)))
        values, vectors = torch.linalg.eigh((small + small.T) / 2.0)
        chosen = values > SMALLEST_VALUE * values[-1].clamp(min=0.0)
        values, axes = values[chosen][-COVARIANCE_RANK:], (basis @ vectors[:, chosen])
        # P' projection is the axes times the roots of their values, as the axes are eigenvectors
        projection = shown @ (prior @ axes[:, -COVARIANCE_RANK:]) / values.sqrt()
        return replace(self, projection=projection, loadings=prior @ projection)

    def with_step(self, covariance: float) -> RatingHead:
        """Take a step of another length in the same direction."""
        return replace(self, settings=replace(self.settings, covariance=covariance))

    def profile(self, items: NDArray[np.int64], values: NDArray[np.float64]) -> Profile:
        """Solve one user.

        Parameters
        ----------
        items
            Rated items among the W, ascending, [n].
        values
            Their ratings, [n].

        Returns
        -------
        Profile
            Of a user without ratings, nothing but zeros.
        """
        left = values - self.mean - self.item_bias[items]
        bias = float(left.sum() / (len(items) + self.settings.user_shrinkage))
        if np.isinf(self.settings.ridge) or not len(items):
            return Profile(bias, items, torch.zeros(len(items)))
        right = torch.as_tensor(left - bias, dtype=torch.float32)[:, None]
        weights = solve_ridge(factor_positive(self.user_matrix(items)), right)[:, 0]
        return Profile(bias, items, weights)

    def user_matrix(self, items: NDArray[np.int64]) -> Tensor:
        """Give the matrix that is solved for a user.

        Parameters
        ----------
        items
            Rated items among the W, [n].

        Returns
        -------
        Tensor
            ``G_uu + ridge I``, [n, n].
        """
        settings = self.settings
        matrix = settings.content * self.kernel[items][:, items]
        loadings = self.loadings[items]
        matrix += settings.covariance * (loadings @ loadings.T)
        matrix.diagonal().add_(1.0 - settings.content + settings.ridge)
        return matrix

    def target_terms(self, targets: Targets) -> TargetTerms:
        """Prepare items for prediction.

        Parameters
        ----------
        targets
            T items.

        Returns
        -------
        TargetTerms
            What does not depend on the user.
        """
        known = targets.own >= 0
        content = self.settings.bias_content * (targets.cross @ self.bias_weights)
        bias = content.numpy().astype(np.float64)
        bias[known] = self.item_bias[targets.own[known]]
        prior = targets.prior(self.settings.content)
        return TargetTerms(bias, prior, prior @ self.projection)

    def predict(
        self, profile: Profile, terms: TargetTerms, rows: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Predict the ratings of one user.

        Parameters
        ----------
        profile
            The user.
        terms
            From :meth:`target_terms`.
        rows
            Which of its items, [K].

        Returns
        -------
        ndarray of float64
            [K].
        """
        weights = profile.weights
        near = terms.prior[rows][:, profile.items] @ weights
        shown = self.loadings[profile.items].T @ weights
        near += self.settings.covariance * (terms.loadings[rows] @ shown)
        return self.mean + profile.bias + terms.bias[rows] + near.numpy().astype(np.float64)

    def _shown(self, ratings: Ratings) -> Tensor:
        """Sum up what each user shows of the covariance: B, [W, W]."""
        before = self.with_step(0.0)
        profiles = [before.profile(items, values) for _, items, values in ratings.by_user()]
        bias = np.zeros(ratings.users)
        bias[np.unique(ratings.user)] = [profile.bias for profile in profiles]
        left = ratings.value - self.mean - self.item_bias[ratings.item] - bias[ratings.user]
        scale = self.settings.ridge / max(float(np.mean(left**2)), 1e-12)
        shown = torch.zeros(ratings.items, ratings.items)
        for profile in profiles:
            inverse = torch.cholesky_inverse(factor_positive(before.user_matrix(profile.items)))
            block = scale * torch.outer(profile.weights, profile.weights) - inverse
            places = torch.as_tensor(profile.items)
            shown.index_put_((places[:, None], places[None]), block, accumulate=True)
        return shown.div_(len(profiles))


@dataclass(frozen=True, slots=True, eq=False)
class TargetTerms:
    """What the prediction of T items owes to the items alone.

    Parameters
    ----------
    bias
        Item biases, [T].
    prior
        ``P'`` with the W items, [T, W].
    loadings
        ``P' projection``, [T, R].
    """

    bias: NDArray[np.float64]
    prior: Tensor
    loadings: Tensor

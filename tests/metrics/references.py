"""The later measures by whole decompositions and loops over classes and pairs, as papers and authors have them."""

from collections.abc import Callable

import numpy as np
from numpy import ndarray
from scipy.linalg import eigh
from scipy.special import softmax
from scipy.stats import spearmanr
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestCentroid

from tests.metrics.brute_force import by_class


def entropy_rank(values: ndarray, eps: float = 0.0) -> float:
    shares = values / values.sum() + eps
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def variances(x: ndarray) -> ndarray:
    return np.linalg.svd(x - x.mean(0), compute_uv=False) ** 2 / len(x)


def rankme(x: ndarray, y: ndarray) -> float:
    return entropy_rank(np.linalg.svd(x, compute_uv=False), 1e-7)


def alpha_req(x: ndarray, y: ndarray) -> float:
    values = np.linalg.svd(x - x.mean(0), compute_uv=False) ** 2
    values = values[values > values[0] * 1e-13][2:50]
    ranks = np.arange(3, 3 + len(values))
    return -float(np.polyfit(np.log(ranks), np.log(values), 1, w=ranks**-0.5)[0])


def unit_or_zero(x: ndarray) -> ndarray:
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(length > 0, length, 1)


def uniformity(x: ndarray, y: ndarray) -> float:
    u = unit_or_zero(x)
    pairs = [np.exp(-2 * (2 - 2 * u[i] @ u[j])) for i in range(len(u)) for j in range(i)]
    return float(np.log(np.mean(pairs)))


def alignment(x: ndarray, y: ndarray) -> float:
    u = unit_or_zero(x)
    return float(np.mean([2 - 2 * u[i] @ u[j] for i in range(len(u)) for j in range(i) if y[i] == y[j]]))


def means(x: ndarray, y: ndarray) -> ndarray:
    return np.stack([own.mean(0) for own in by_class(x, y)])


def within(x: ndarray, y: ndarray) -> ndarray:
    return sum((own - own.mean(0)).T @ (own - own.mean(0)) for own in by_class(x, y))


def nc1(x: ndarray, y: ndarray) -> float:
    apart = means(x, y) - means(x, y).mean(0)
    return float(np.trace(within(x, y) / len(x) @ np.linalg.pinv(apart.T @ apart / len(apart), 1e-12)) / len(apart))


def nc2(x: ndarray, y: ndarray) -> dict[str, float]:
    apart = means(x, y) - means(x, y).mean(0)
    count, lengths = len(apart), np.linalg.norm(apart, axis=1)
    cosines = [apart[i] @ apart[j] / lengths[i] / lengths[j] for i in range(count) for j in range(count) if i != j]
    gram = apart @ apart.T
    simplex = (np.eye(count) - 1 / count) / np.sqrt(count - 1)
    return {
        "equinorm": lengths.std() / lengths.mean(),
        "cos": np.mean([abs(cosine + 1 / (count - 1)) for cosine in cosines]),
        "ETF error": np.linalg.norm(gram / np.linalg.norm(gram) - simplex),
    }


def class_mean_accuracy(x: ndarray, y: ndarray) -> float:
    return NearestCentroid().fit(x, y).score(x, y)


def over_pairs(x: ndarray, y: ndarray, width: Callable[[ndarray, ndarray], float]) -> float:
    """The mean over ordered pairs of classes of width(samples about their mean, way to the other mean)."""
    classes = by_class(x, y)
    pairs = [(j, k) for j in classes for k in classes if k is not j]
    return float(np.mean([width(j - j.mean(0), j.mean(0) - k.mean(0)) for j, k in pairs]))


def cdnv(x: ndarray, y: ndarray) -> float:
    return over_pairs(x, y, lambda own, way: (own**2).sum(1).mean() / (way @ way))


def directional_cdnv(x: ndarray, y: ndarray) -> float:
    return over_pairs(x, y, lambda own, way: ((own @ way) ** 2).mean() / (way @ way) ** 2)


def lidar(x: ndarray, y: ndarray) -> float:
    classes = [own[:100] for own in by_class(x, y)]
    apart = np.stack([own.mean(0) for own in classes])
    apart = apart - apart.mean(0)
    scatter = sum((own - own.mean(0)).T @ (own - own.mean(0)) for own in classes)
    inner = scatter / (sum(map(len, classes)) - len(classes)) + 1e-4 * np.eye(x.shape[1])
    return entropy_rank(eigh(apart.T @ apart, inner, eigvals_only=True).clip(0), 1e-8)


def logme(x: ndarray, y: ndarray) -> float:
    """The evidence by its definition, N x N, at the optimum of the fixed point run long."""
    values = []
    squares, n = np.linalg.svd(x, compute_uv=False) ** 2, len(x)
    squares = squares[squares > squares[0] * 1e-13]
    for label in np.unique(y):
        target, prior, noise = (y == label).astype(float), 1.0, 1.0
        for _ in range(60):
            weights = np.linalg.solve(prior / noise * np.eye(x.shape[1]) + x.T @ x, x.T @ target)
            fitted = (squares / (squares + prior / noise)).sum()
            residual = ((target - x @ weights) ** 2).sum()
            prior, noise = fitted / (weights @ weights + 1e-5), (n - fitted) / (residual + 1e-5)
        covariance = np.eye(n) / noise + x @ x.T / prior
        exponent = target @ np.linalg.solve(covariance, target)
        values.append(-(n * np.log(2 * np.pi) + np.linalg.slogdet(covariance)[1] + exponent) / 2 / n)
    return float(np.mean(values))


def class_means_of_each(x: ndarray, y: ndarray) -> ndarray:
    return means(x, y)[np.unique(y, return_inverse=True)[1]]


def h_score(x: ndarray, y: ndarray) -> float:
    return float(np.trace(np.linalg.pinv(np.cov(x.T), 1e-13) @ np.cov(class_means_of_each(x, y).T)))


def regularised_h_score(x: ndarray, y: ndarray) -> float:
    fit = LedoitWolf().fit(x)
    between = np.cov(class_means_of_each(x, y).T)
    return float((1 - fit.shrinkage_) * np.trace(np.linalg.inv(fit.covariance_) @ between))


def transrate(x: ndarray, y: ndarray) -> float:
    def rate(z: ndarray) -> float:
        return np.linalg.slogdet(np.eye(z.shape[1]) + z.T @ z / (len(z) * 1e-4))[1] / 2

    z = x - x.mean(0)
    return rate(z) - sum(len(own) / len(z) * rate(own) for own in by_class(z, y))


def sfda(x: ndarray, y: ndarray) -> float:
    labels, index = np.unique(y, return_inverse=True)
    shrinkage = None

    def posterior(z: ndarray) -> ndarray:
        nonlocal shrinkage
        covariance = within(z, y) / len(z)
        if shrinkage is None:
            after = covariance.sum(1)
            for _ in range(3):
                before = covariance @ after / np.linalg.norm(covariance @ after)
                after = covariance @ before / np.linalg.norm(covariance @ before)
            shrinkage = max(np.exp(-5 * after @ covariance @ before), 1e-10)
        dim = len(covariance)
        covariance = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / dim * np.eye(dim)
        weight = means(z, y) @ np.linalg.inv(covariance)
        bias = np.log(np.bincount(index) / len(z)) - (weight * means(z, y)).sum(1) / 2
        return softmax(z @ weight.T + bias, axis=1)

    share = softmax(posterior(x), axis=1)[np.arange(len(x)), index][:, None]
    others = np.stack([np.delete(means(x, y), k, 0).mean(0) for k in range(len(labels))])
    return float(posterior(share * x + (1 - share) * others[index])[np.arange(len(x)), index].mean())


def ncti_parts(x: ndarray, y: ndarray) -> dict[str, float]:
    pca = PCA(min(64, *x.shape))
    z, index = pca.fit_transform(x), np.unique(y, return_inverse=True)[1]
    model = LinearDiscriminantAnalysis("eigen", shrinkage=max(np.exp(-pca.explained_variance_[:32].sum()), 1e-10))
    low, certain = model.fit_transform(z, y), model.predict_proba(z)
    nuclear = [np.linalg.norm(own, "nuc") for own in by_class(certain, y)]
    return {
        "SELI": np.linalg.norm(low - low.mean(0), "nuc"),
        "NCC": certain[np.arange(len(z)), index].mean(),
        "VC": np.log(sum(nuclear)),
    }


def leep(theta: ndarray, y: ndarray) -> float:
    joint = np.stack([theta[y == label].sum(0) for label in np.unique(y)]) / len(y)
    given = dict(zip(np.unique(y), joint / joint.sum(0), strict=True))
    return float(np.mean([np.log(given[label] @ row) for row, label in zip(theta, y, strict=True)]))


def nce(theta: ndarray, y: ndarray) -> float:
    source, total = theta.argmax(1), 0.0
    for label, z in zip(y, source, strict=True):
        total += np.log(((y == label) & (source == z)).sum() / (source == z).sum())
    return total / len(y)


def nleep(x: ndarray, y: ndarray) -> float:
    pca = PCA(0.8)
    z = pca.fit_transform(x)
    z = z / np.sqrt(variances(x)[0])
    mixture = GaussianMixture(5 * len(np.unique(y)), random_state=0).fit(z)
    return leep(mixture.predict_proba(z), y)


def parc(x: ndarray, y: ndarray) -> float:
    z = (x - x.mean(0)) / np.where(np.ptp(x, axis=0) > 0, x.std(0), 1)
    pairs = np.tril_indices(len(z), -1)
    return 100 * spearmanr(1 - np.corrcoef(z)[pairs], (y[:, None] != y)[pairs]).statistic


def gbc(x: ndarray, y: ndarray, spherical: bool = True) -> float:
    z = PCA(min(32, np.linalg.matrix_rank(x - x.mean(0)))).fit_transform(x)
    classes = [
        (own.mean(0), np.full(z.shape[1], own.var(0).mean()) if spherical else own.var(0)) for own in by_class(z, y)
    ]
    total = 0.0
    for j, (mean, variance) in enumerate(classes):
        for k, (other, its) in enumerate(classes):
            middle = (variance + its) / 2
            distance = ((mean - other) ** 2 / middle).sum() / 8 + np.log(middle / np.sqrt(variance * its)).sum() / 2
            total += np.exp(-distance) * (j != k)
    return -float(total)


REFERENCES: dict[str, Callable] = {
    "RankMe": rankme,
    "effective rank": lambda x, y: entropy_rank(variances(x)),
    "participation ratio": lambda x, y: variances(x).sum() ** 2 / (variances(x) ** 2).sum(),
    "NESum": lambda x, y: variances(x).sum() / variances(x)[0],
    "alpha-ReQ": alpha_req,
    "uniformity": uniformity,
    "alignment": alignment,
    "NC1": nc1,
    "NC2": nc2,
    "class-mean accuracy": class_mean_accuracy,
    "CDNV": cdnv,
    "directional CDNV": directional_cdnv,
    "LiDAR": lidar,
    "LogME": logme,
    "H-score": h_score,
    "regularised H-score": regularised_h_score,
    "TransRate": transrate,
    "SFDA": sfda,
    "NCTI": ncti_parts,
    "NLEEP": nleep,
    "PARC": parc,
    "GBC": gbc,
    "diagonal GBC": lambda x, y: gbc(x, y, spherical=False),
    "LEEP": leep,
    "NCE": nce,
}

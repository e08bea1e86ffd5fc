"""Writes `lab/tests/vectors/*.json`: what scipy, scikit-learn, trec_eval and lm_eval say.

    python reference.py

Every number is drawn from a seed of its file, so the files come out byte for byte with the versions in
`requirements.txt`. Features are drawn as whole numbers (tenths of a unit), which keeps the files small and
gives every program the same bits.
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytrec_eval
from lm_eval.api.metrics import mean, mean_stderr, perplexity
from lm_eval.api.task import ConfigurableTask
from scipy import stats
from sklearn import metrics
from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import paired_cosine_distances
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import normalize

FOLDER = Path(__file__).parents[1] / "vectors"
Vectors = dict[str, Any]


def statistics() -> Vectors:
    """Paired t-tests and intervals of 2 to 30 seeds, at two levels; Holm's p-values."""
    random = np.random.default_rng(0)
    comparisons = []
    for seeds in (2, 3, 5, 8, 30):
        for effect in (0.0, 0.02, 0.5):
            baseline = 1.3 + 0.1 * random.standard_normal(seeds)
            arm = baseline + effect + 0.03 * random.standard_normal(seeds)
            difference = stats.ttest_rel(arm, baseline)
            alone = stats.ttest_1samp(arm, 0.0)
            comparisons.append({
                "arm": arm.tolist(),
                "baseline": baseline.tolist(),
                "of_arm": {"mean": arm.mean(), "p": alone.pvalue, "intervals": intervals(alone)},
                "of_difference": {
                    "mean": (arm - baseline).mean(),
                    "p": difference.pvalue,
                    "intervals": intervals(difference),
                },
            })
    p_values = random.uniform(0.0, 0.1, 9)
    p_values[3] = p_values[7]
    return {"comparisons": comparisons, "p_values": p_values.tolist(), "holm": holm(p_values)}


def intervals(test: Any) -> list[list[float]]:
    """`[level, low, high]` of each level."""
    return [[level, *map(float, test.confidence_interval(level))] for level in (0.95, 0.5, 0.999)]


def holm(p_values: np.ndarray) -> list[float]:
    """By the definition: the largest of `(n - rank) p` of those with no larger p, 1 at most."""
    n = len(p_values)
    factor = {index: n - rank for rank, index in enumerate(np.argsort(p_values, kind="stable"))}
    return [
        min(1.0, max(factor[j] * p_values[j] for j in range(n) if p_values[j] <= p_values[i]))
        for i in range(n)
    ]


def blobs(
    random: np.random.Generator, classes: int, width: int, each: int, distance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centers, rows in tenths, and classes in a random order: normal around random centers."""
    centers = distance * random.standard_normal((classes, width))
    labels = random.permutation(np.repeat(np.arange(classes), each))
    rows = centers[labels] + random.standard_normal((len(labels), width))
    return centers, np.rint(10 * rows).astype(int), labels


def classifiers() -> Vectors:
    """Logistic regression and nearest centroids on three sets; one half is train, the other test."""
    random = np.random.default_rng(1)
    sets = {
        "separated": blobs(random, 3, 4, 40, 4.0),
        "overlapping": blobs(random, 2, 8, 160, 0.3),
        "twelve": blobs(random, 12, 64, 32, 0.35),
    }
    return {name: classified(rows, labels) for name, (_, rows, labels) in sets.items()}


def classified(rows: np.ndarray, labels: np.ndarray) -> Vectors:
    half = len(rows) // 2
    (train, test), (known, asked) = (rows[:half] / 10, rows[half:] / 10), (labels[:half], labels[half:])
    usual = LogisticRegression(max_iter=100).fit(train, known)
    exact = LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(train, known)
    predicted = usual.predict(test)
    scaled = {scale: LogisticRegression().fit(scale * train, known) for scale in (1e-10, 1e-2, 1e-1, 10.0)}
    return {
        "width": rows.shape[1],
        "train": rows[:half].ravel().tolist(),
        "train_labels": known.tolist(),
        "test": rows[half:].ravel().tolist(),
        "test_labels": asked.tolist(),
        "predicted": predicted.tolist(),
        "accuracy": metrics.accuracy_score(asked, predicted),
        "macro_f1": metrics.f1_score(asked, predicted, average="macro", zero_division=0),
        "coefficients": exact.coef_.ravel().tolist(),
        "intercepts": exact.intercept_.tolist(),
        "scaled": [[scale, it.score(scale * test, asked)] for scale, it in scaled.items()],
        "centroid": NearestCentroid().fit(train, known).predict(test).tolist(),
    }


def clustering() -> Vectors:
    """Five blobs that overlap, and the scores of several assignments of them."""
    random = np.random.default_rng(2)
    _, rows, labels = blobs(random, 5, 3, 30, 2.0)
    k_means = KMeans(n_clusters=5, n_init=10, random_state=0).fit(rows / 10)
    n = len(labels)
    assignments = {
        "k-means": k_means.labels_,
        "renamed classes": (labels + 2) % 5,
        "halved classes": 2 * labels + random.integers(0, 2, n),
        "joined classes": labels // 2,
        "random": random.integers(0, 7, n),
        "one cluster": np.zeros(n, dtype=int),
        "one each": np.arange(n),
    }
    scores = []
    for name, clusters in assignments.items():
        h, c, v = metrics.homogeneity_completeness_v_measure(labels, clusters)
        scores.append({
            "name": name,
            "clusters": clusters.tolist(),
            "homogeneity": h,
            "completeness": c,
            "v_measure": v,
            "normalized_mutual_information": metrics.normalized_mutual_info_score(labels, clusters),
            "adjusted_rand_index": metrics.adjusted_rand_score(labels, clusters),
        })
    return {
        "width": 3,
        "rows": rows.ravel().tolist(),
        "labels": labels.tolist(),
        "inertia": float(k_means.inertia_),
        "scores": scores,
    }


def ranking() -> Vectors:
    """Spearman of pairs' cosines and of values with ties; trec_eval's counts of queries with ties."""
    random = np.random.default_rng(3)
    left = random.integers(-9, 10, (40, 6))
    right = np.rint(left + random.normal(0.0, 6.0, left.shape)).astype(int)
    cosines = 1 - paired_cosine_distances(left, right)
    human = np.rint(2 * (cosines + random.normal(0.0, 0.5, 40))) / 2
    tied = random.integers(0, 5, 30)
    other = tied + random.integers(0, 6, 30)
    spearmans = [
        {"x": x.tolist(), "y": y.tolist(), "rho": float(stats.spearmanr(x, y).statistic)}
        for x, y in ((tied, other), (tied, -other), (cosines, human))
    ]
    return {
        "left": left.ravel().tolist(),
        "right": right.ravel().tolist(),
        "width": 6,
        "human": human.tolist(),
        "cosines": cosines.tolist(),
        "spearman": spearmans,
        "queries": [query(random, retrieved) for retrieved in (3, 8, 15, 40, 40, 40)],
    }


def query(random: np.random.Generator, retrieved: int) -> Vectors:
    """Scores in eighths, so that many are equal; judgements of retrieved documents and of others."""
    judged = random.choice(retrieved + 4, min(12, retrieved + 2), replace=False)
    relevance = random.integers(0, 4, len(judged))
    relevance[0] = 2
    scores = random.integers(0, 24, retrieved) / 8
    found = judged < retrieved
    scores[judged[found]] += relevance[found] / 2
    name = "d{:03}".format
    judgements = {name(document): int(it) for document, it in zip(judged, relevance, strict=True)}
    run = {name(document): float(score) for document, score in enumerate(scores)}
    evaluator = pytrec_eval.RelevanceEvaluator({"q": judgements}, {"ndcg_cut.5,10", "recall.5,10"})
    return {
        "scores": scores.tolist(),
        "judged": judged.tolist(),
        "relevance": relevance.tolist(),
        **evaluator.evaluate({"q": run})["q"],
    }


class Task(ConfigurableTask):
    """Multiple choice as the harness counts it, without a data set behind it."""

    OUTPUT_TYPE = "multiple_choice"
    multiple_input = multiple_target = 0
    config = SimpleNamespace(process_results=None)

    def __init__(self) -> None:
        self._metric_fn_list = dict.fromkeys(("acc", "acc_norm", "acc_bytes"))

    def doc_to_choice(self, doc: Vectors) -> list[str]:
        return doc["choices"]

    def doc_to_target(self, doc: Vectors) -> int:
        return doc["answer"]


def choice() -> Vectors:
    """50 questions. Log-likelihoods in halves and few lengths give ties; some texts have more bytes than
    characters."""
    random = np.random.default_rng(4)
    words = ["oak", "a reef", "sand", "the north wind", "Öl", "ß", "naïve façades", "水", "水と油", "salt"]
    items = []
    for _ in range(50):
        count = random.integers(2, 6)
        items.append({
            "choices": [words[i] for i in random.choice(len(words), count, replace=False)],
            "log_likelihoods": (-0.5 * random.integers(2, 14, count)).tolist(),
            "answer": int(random.integers(0, count)),
        })
    # Ties by sum, and per character.
    items[0] = {"choices": ["left", "west"], "log_likelihoods": [-3.0, -3.0], "answer": 1}
    items[1] = {"choices": ["ab", "abcd"], "log_likelihoods": [-1.0, -2.0], "answer": 0}
    task = Task()
    results = [task.process_results(item, [(ll, False) for ll in item["log_likelihoods"]]) for item in items]
    scores = {}
    for name in ("acc", "acc_norm", "acc_bytes"):
        counted = [float(result[name]) for result in results]
        scores[name] = {"each": [int(it) for it in counted], "mean": mean(counted), "stderr": mean_stderr(counted)}
    assert len({score["mean"] for score in scores.values()}) == 3, "the three must differ"
    return {"items": items, **scores}


class Cloze(Task):
    """One continuation without alternatives, as LAMBADA."""

    OUTPUT_TYPE = "loglikelihood"

    def __init__(self) -> None:
        self._metric_fn_list = dict.fromkeys(("acc", "perplexity"))


def cloze() -> Vectors:
    """40 continuations, each with its log-likelihood and whether it is greedy."""
    random = np.random.default_rng(6)
    log_likelihoods = (-0.25 * random.integers(1, 30, 40)).tolist()
    greedy = (random.random(40) < 0.3).tolist()
    task = Cloze()
    results = [task.process_results({}, [it]) for it in zip(log_likelihoods, greedy, strict=True)]
    accurate = [float(result["acc"]) for result in results]
    return {
        "log_likelihoods": log_likelihoods,
        "greedy": greedy,
        "acc": mean(accurate),
        "acc_stderr": mean_stderr(accurate),
        "perplexity": perplexity([result["perplexity"] for result in results]),
    }


TRAIN_TEXTS = [
    "The tide was out; the boats lay on the sand.",
    "On the sand lay a boat, and a BOAT-hook: 2 oars, 14 nets.",
    "ΟΔΥΣΣΕΥΣ sailed. Straße, STRASSE, naïve façade!",
    "snake_case and __init__ are words_ to it, x is not",
    "水 is one character, 水と油 are three.",
    "the the the tide, the tide",
    "...",
    "Boats don't sail; they're sailed, don't they?",
    "nets of the tide and the sand and the oars",
]
TEST_TEXTS = ["The boats of the tide", "unknown entirely ?", "Straße straße 14 odysseus Οδυσσευς sand", ""]


def bag_of_words() -> Vectors:
    """All words, and the most frequent ones."""
    return {"train": TRAIN_TEXTS, "test": TEST_TEXTS, "limits": [tf_idf(1000), tf_idf(4)]}


def tf_idf(max_features: int) -> Vectors:
    """Rows as lists of `[column, value]`."""
    vectorizer = TfidfVectorizer(max_features=max_features)
    rows = [vectorizer.fit_transform(TRAIN_TEXTS), vectorizer.transform(TEST_TEXTS)]
    everything = TfidfVectorizer(norm=None, use_idf=False).fit_transform(TRAIN_TEXTS).toarray().sum(0)
    counts = np.sort(everything)[::-1]
    at_limit = counts[max_features - 1 : max_features + 1]
    assert len(at_limit) < 2 or at_limit[0] > at_limit[1], f"a tie at the limit: {counts}"
    train, test = (
        [[[int(c), float(v)] for c, v in enumerate(row) if v != 0] for row in matrix.toarray()] for matrix in rows
    )
    words = vectorizer.get_feature_names_out().tolist()
    return {"max_features": max_features, "words": words, "train_rows": train, "test_rows": test}


def vectors() -> Vectors:
    """States of five tokens, pooled over three of them; rows at length 1."""
    random = np.random.default_rng(5)
    states = random.integers(-99, 100, (5, 7))
    states[3] = 0
    mask = np.array([True, False, True, True, False])
    return {
        "width": 7,
        "states": states.ravel().tolist(),
        "mask": mask.tolist(),
        "mean": states[mask].mean(0).tolist(),
        "normalized": normalize(states).ravel().tolist(),
    }


def main() -> None:
    for make in (statistics, classifiers, clustering, ranking, choice, cloze, bag_of_words, vectors):
        lines = [
            f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}"
            for key, value in make().items()
        ]
        text = "{\n" + ",\n".join(lines) + "\n}\n"
        (FOLDER / f"{make.__name__}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

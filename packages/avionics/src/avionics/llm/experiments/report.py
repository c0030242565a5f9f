"""How the variants of an experiment did, beside the control: estimates with 95 % intervals, and what they are worth.

Figures are floats, in USD too: they are estimates, and nobody owes them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from avionics.llm.experiments.intervals import Estimate, are_shares, estimate, estimate_difference
from avionics.llm.experiments.sample import VariantSample

__all__ = ["ExperimentReport", "Figure", "VariantReport", "report_of"]

_FEW = 30
"""Sessions below which the mean of values that are no shares may be far from normal, so that its interval is rough."""

_TOO_FAR = 4.0
"""Standard deviations from the expected number of sessions; chance goes so far once in 16,000 times."""

_CONTROL = "control"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """The mean over the sessions of a variant, and how much greater it is than that of the control."""

    mean: Estimate
    difference: Estimate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantReport:
    """One variant, or the copies that were made as one (`shadow:NAME`).

    Attributes:
        variant: its name.
        calls: how many there are; `sessions` of how many sessions.
        left: how many of the calls were cancelled, or left by their reader.
        cached: how many the response cache answered.
        unpriced: how many have a cost that is not known, and that is in no figure.
        errors: the share of calls that failed, of those that were not left.
        p50, p95: seconds within which half of the answers came, and all but a twentieth. None where there are too few
            answers to say: fewer than 1 and 20. Answers of the response cache do not count, nor do they for the cost.
        cost_usd: of a call.
        feedback: by metric.
    """

    variant: str
    calls: int
    sessions: int
    left: int
    cached: int
    unpriced: int
    errors: Figure | None
    p50: float | None
    p95: float | None
    cost_usd: Figure | None
    feedback: Mapping[str, Figure]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentReport:
    """How an experiment stands. `control` is the variant that the others are compared with, and the first.

    `remarks` say in words how far the figures can be trusted.
    """

    experiment: str
    control: str | None
    variants: Sequence[VariantReport]
    remarks: Sequence[str]


def report_of(
    experiment: str,
    samples: Mapping[str, VariantSample],
    *,
    control: str | None = None,
    metric: str | None = None,
    weights: Mapping[str, float] | None = None,
) -> ExperimentReport:
    """The report of these samples.

    Args:
        experiment: its name.
        samples: by variant.
        control: None is the variant of that name, or else the first by name that is no copy.
        metric: of feedback, only this one is told; None tells all.
        weights: of the variants, as they are in the settings; None does not look whether sessions came by them.
    """
    control = control or _usual_control(samples)
    reference = samples.get(control) if control else None
    order = sorted(samples, key=lambda name: (name != control, _is_copy(name), name))
    variants = [_variant(samples[name], None if name == control else reference, metric) for name in order]
    remarks = [*_remarks(variants, control if reference else None), *_imbalances(variants, weights or {})]
    return ExperimentReport(experiment=experiment, control=control, variants=variants, remarks=remarks)


def _variant(sample: VariantSample, reference: VariantSample | None, metric: str | None) -> VariantReport:
    metrics = sorted(sample.feedback) if metric is None else [metric]
    other = reference or VariantSample(variant="")
    feedback = {name: _rating(sample.values(name), other.values(name)) for name in metrics}
    return VariantReport(
        variant=sample.variant,
        calls=sample.calls,
        sessions=len(sample.units),
        left=sample.left,
        cached=sample.cached,
        unpriced=sample.unpriced,
        errors=_error_rate(sample.failures.values, other.failures.values),
        p50=_percentile(sample.durations, 0.5, least=1),
        p95=_percentile(sample.durations, 0.95, least=20),
        cost_usd=_figure(sample.costs.values, other.costs.values),
        feedback={name: figure for name, figure in feedback.items() if figure is not None},
    )


def _rating(values: Sequence[float], others: Sequence[float]) -> Figure | None:
    """A figure of values that are shares, if they look so in both variants."""
    return _figure(values, others, shares=are_shares((*values, *others)))


def _error_rate(values: Sequence[float], others: Sequence[float]) -> Figure | None:
    """A figure that cannot be below 0 or above 1, however few sessions there are."""
    figure = _rating(values, others)
    return None if figure is None else replace(figure, mean=figure.mean.within(0.0, 1.0))


def _figure(values: Sequence[float], others: Sequence[float], *, shares: bool = False) -> Figure | None:
    mean = estimate(values, shares=shares)
    return None if mean is None else Figure(mean=mean, difference=estimate_difference(values, others, shares=shares))


def _percentile(values: Sequence[float], share: float, *, least: int) -> float | None:
    """By nearest rank, so one of the values; None where there are fewer than `least`."""
    return sorted(values)[math.ceil(share * len(values)) - 1] if len(values) >= least else None


def _usual_control(samples: Mapping[str, VariantSample]) -> str | None:
    names = sorted(name for name in samples if not _is_copy(name))
    return _CONTROL if _CONTROL in names else next(iter(names), None)


def _is_copy(variant: str) -> bool:
    return variant.startswith("shadow:")


def _remarks(variants: Sequence[VariantReport], control: str | None) -> Iterator[str]:
    if not variants:
        yield "No call of this experiment is in the log."
        return
    if control is None:
        yield "There are no calls of the control, so nothing is compared."
    yield from (
        f"{each.variant} has {each.sessions} sessions: fewer than {_FEW} are few, and intervals of means are rough."
        for each in variants
        if each.sessions < _FEW
    )
    differences = [(each.variant, *found) for each in variants for found in _differences(each)]
    yield from (f"{name}, {figure}: {_verdict(difference)}" for name, figure, difference in differences)
    if len(differences) > 1:
        yield (
            f"These are {len(differences)} comparisons. Of twenty between equals, one excludes 0 by chance; and who "
            "looks often sees it sooner."
        )
    if any(_is_copy(each.variant) for each in variants):
        yield "Copies have answers that nobody saw: they compare in errors, time and cost."
    if any(each.unpriced for each in variants):
        yield "The cost of some calls is not known, and is in no figure."


def _imbalances(variants: Sequence[VariantReport], weights: Mapping[str, float]) -> Iterator[str]:
    """Variants with far more or fewer sessions than their weight gives them: what is compared may not be comparable."""
    counts = {each.variant: each.sessions for each in variants if each.variant in weights}
    total, weight = sum(counts.values()), sum(weights.values())
    for name, count in counts.items():
        share = weights[name] / weight
        if abs(count - total * share) > _TOO_FAR * math.sqrt(total * share * (1 - share)):
            yield (
                f"{name} has {count} of {total} sessions, by its weight about {total * share:.0f}: unless the weights "
                "were changed meanwhile, something keeps sessions away, and the variants are not comparable."
            )


def _differences(variant: VariantReport) -> Iterator[tuple[str, Estimate]]:
    for name, figure in (("errors", variant.errors), ("cost", variant.cost_usd), *variant.feedback.items()):
        if figure is not None and figure.difference is not None:
            yield name, figure.difference


def _verdict(difference: Estimate) -> str:
    if difference.low is None:
        return "too few values, or too much alike, to say how sure the difference is."
    if not difference.excludes_zero:
        return "no difference is shown; the interval says how large one may be nevertheless."
    return "greater than the control's." if difference.value > 0 else "smaller than the control's."

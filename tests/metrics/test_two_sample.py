"""The classifier two-sample test: calibrated under the null, sure where laws differ."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.model_selection import cross_val_score
from sklearn.neural_network import MLPClassifier
from torch import Tensor, nn

from ganbench.errors import InputError
from ganbench.metrics import discriminator_test, discriminator_tests, two_sample


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def numbers(tests: list[dict[str, float]], quantity: str) -> np.ndarray:
    return np.array([test[f"discriminator_{quantity}"] for test in tests])


@pytest.mark.slow
@pytest.mark.parametrize(("n", "d"), [(200, 2), (60, 100)])
def test_false_positives_under_the_null(n: int, d: int) -> None:
    """Also where the network can learn its 27 rows of a side by heart."""
    runs = 500
    real, fakes = normal(runs, n, d, seed=0), normal(runs, n, d, seed=1)
    tests = discriminator_tests(real, fakes, steps=60, batch_size=64)
    p_values, accuracies = numbers(tests, "p_value"), numbers(tests, "accuracy")
    low, high = stats.binom.interval(0.99, runs, 0.05)
    assert low <= (p_values < 0.05).sum() <= high
    assert p_values.mean() == pytest.approx(0.5, abs=4 * math.sqrt(1 / 12 / runs))
    assert accuracies.mean() == pytest.approx(0.5, abs=4 * math.sqrt(1 / 4 / n / runs))
    # As spread as accuracies of n rows are: no more, as if the rows had been learnt from.
    assert accuracies.std() == pytest.approx(math.sqrt(1 / 4 / n), rel=0.15)


def test_rows_to_judge_by_choose_nothing() -> None:
    """Real and fake exchanged in the half to judge by make right wrong, exactly."""
    real, fake = normal(60, 5, seed=0), normal(60, 5, seed=1) + 0.5
    before = discriminator_test(real, fake)
    kinds = two_sample._sides(real[None], fake[None], torch.Generator().manual_seed(0))
    of_real, of_fake = (kind.judge for kind in kinds)
    real[of_real], fake[of_fake] = fake[of_fake], real[of_real]
    after = discriminator_test(real, fake)
    assert before["discriminator_accuracy"] > 0.6
    for before_value, after_value in zip(before.values(), after.values(), strict=True):
        assert after_value == pytest.approx(1 - before_value, abs=1e-12)


def test_parts_are_disjoint_and_complete() -> None:
    kinds = two_sample._sides(normal(1, 33, 2, seed=0), normal(1, 8, 2, seed=1), torch.Generator())
    for kind, sizes in zip(kinds, [(15, 2, 16), (3, 1, 4)], strict=True):
        parts = (kind.learn, kind.stop, kind.judge)
        assert tuple(map(len, parts)) == sizes
        assert torch.cat(parts).sort().values.tolist() == list(range(sum(sizes)))


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("d", [1, 2, 17])
def test_each_network_learns_as_it_would_alone(d: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight train at once, some for longer, and the next eight after them."""
    monkeypatch.setattr(two_sample, "GROUP", 8 * 256 * 4 * max(two_sample.HIDDEN))
    real = normal(12, 70, d, seed=0)
    fakes = normal(12, 90, d, seed=1) + torch.arange(12).fmod(5)[:, None, None]
    together = discriminator_tests(real, fakes, steps=400)
    alone = [discriminator_test(*pair, steps=400) for pair in zip(real, fakes, strict=True)]
    for quantity in ("accuracy", "p_value"):
        expected = numbers(alone, quantity)
        np.testing.assert_allclose(numbers(together, quantity), expected, rtol=0, atol=1e-6)


@pytest.mark.usefixtures("one_thread")
def test_one_real_sample_may_serve_all() -> None:
    real, fakes = normal(100, 2, seed=0), normal(3, 80, 2, seed=1)
    expected = discriminator_tests(real.repeat(3, 1, 1), fakes, steps=60)
    assert discriminator_tests(real, fakes, steps=60) == expected


def test_images_are_rows() -> None:
    real, fakes = normal(20, 1, 5, 5, seed=0), normal(2, 30, 1, 5, 5, seed=1)
    expected = discriminator_tests(real.flatten(1), fakes.flatten(2), steps=20)
    assert discriminator_tests(real, fakes, steps=20) == expected
    assert discriminator_test(real, fakes[1], steps=20) == expected[1]


def test_gradient_is_that_of_autograd() -> None:
    rng = torch.Generator().manual_seed(0)
    weights = torch.stack([two_sample._start(3, rng) for _ in range(2)])
    rows = normal(2, 10, 3, seed=2)
    leaf = weights.clone().requires_grad_()
    log_odds, _ = two_sample._log_odds(two_sample._layers(leaf, rows.shape[2]), rows)
    labels = torch.cat([torch.ones(2, 5), torch.zeros(2, 5)], 1)
    loss = nn.functional.binary_cross_entropy_with_logits(log_odds, labels, reduction="sum") / 10
    (expected,) = torch.autograd.grad(loss, leaf)
    torch.testing.assert_close(
        two_sample._gradient(two_sample._layers(weights, rows.shape[2]), rows), expected
    )


def test_p_value_is_that_of_two_proportions() -> None:
    """Chi-squared, without Yates's correction, is the square of the normal deviate."""
    for real, fake in [(110, 80), (60, 21), (90, 70)]:
        values = two_sample._verdict(real, fake, 150, 120)
        table = [[real, 150 - real], [fake, 120 - fake]]
        expected = stats.chi2_contingency(table, correction=False).pvalue / 2
        assert values["discriminator_p_value"] == pytest.approx(expected)
        assert values["discriminator_accuracy"] == pytest.approx((real / 150 + 1 - fake / 120) / 2)


def test_p_value_is_protocol_s_where_half_is_called_real() -> None:
    values = two_sample._verdict(110, 90, 200, 200)
    deviate = (values["discriminator_accuracy"] - 0.5) * math.sqrt(4 * 400)
    assert values["discriminator_p_value"] == pytest.approx(stats.norm.sf(deviate))


def test_one_answer_for_all_rows_tells_nothing() -> None:
    same = torch.ones(40, 3)
    expected = {"discriminator_accuracy": 0.5, "discriminator_p_value": 0.5}
    assert discriminator_test(same, same, steps=20) == expected


def test_accuracy_of_two_shifted_gaussians() -> None:
    """No classifier is better than Phi(|mu| / 2) on N(0, I) against N(mu, I)."""
    n, mu = 4000, torch.tensor([1.0, 1.0])
    values = discriminator_test(normal(n, 2, seed=0), normal(n, 2, seed=1) + mu)
    bayes = float(stats.norm.cdf(math.sqrt(2) / 2))
    margin = 4 * math.sqrt(bayes * (1 - bayes) / n)
    assert bayes - 0.03 < values["discriminator_accuracy"] < bayes + margin
    assert values["discriminator_p_value"] < 1e-6


@pytest.mark.slow
def test_as_accurate_as_scikit_learn_cross_validated() -> None:
    """The scheme of Lueckmann et al. 2021, "Benchmarking simulation-based inference"."""
    n, mu = 500, torch.tensor([0.7, 0.7])
    real, fake = normal(n, 2, seed=0), normal(n, 2, seed=1) + mu
    rows = (torch.cat([real, fake]) - real.mean(0)) / real.std(0)
    network = MLPClassifier((20, 20), max_iter=1000, random_state=0)
    folds = cross_val_score(network, rows.numpy(), np.repeat([1, 0], n), cv=5)
    ours = discriminator_test(real, fake)["discriminator_accuracy"]
    assert ours == pytest.approx(folds.mean(), abs=4 * math.sqrt(0.22 / n))


@pytest.mark.slow
@pytest.mark.parametrize("d", [2, 64, 2352])
def test_separated_samples(d: int) -> None:
    values = discriminator_test(normal(200, d, seed=0), normal(200, d, seed=1) + 20)
    assert values["discriminator_accuracy"] == 1
    assert values["discriminator_p_value"] < 1e-12


def test_sees_what_has_the_same_moments() -> None:
    """A ring against the Gaussian of its mean and covariance."""
    real = normal(1000, 2, seed=0)
    real = math.sqrt(2) * real / real.norm(dim=1, keepdim=True)
    values = discriminator_test(real, normal(1000, 2, seed=1))
    assert values["discriminator_accuracy"] > 0.93


def test_sides_of_different_sizes_are_used_in_full() -> None:
    values = discriminator_test(normal(301, 2, seed=0), normal(20, 2, seed=1) + 20)
    assert values["discriminator_accuracy"] == 1
    # Of 150 and 10 rows; 10 and 10 would leave 4e-6.
    assert values["discriminator_p_value"] < 1e-30


def test_fakes_far_out_and_constant_columns() -> None:
    real, fake = normal(200, 3, seed=0), normal(200, 3, seed=1)
    real[:, 1] = fake[:, 1] = 0.1
    null = discriminator_test(real, fake)
    assert null["discriminator_p_value"] > 0.001
    assert discriminator_test(real, 1e30 * fake)["discriminator_accuracy"] > 0.99
    fake[:, 1] += 1e-4 * fake[:, 0].sign()
    assert discriminator_test(real, fake)["discriminator_accuracy"] == 1


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_other_precisions(dtype: torch.dtype) -> None:
    real, fake = normal(200, 2, seed=0).half(), normal(200, 2, seed=1).half() + 1
    expected = discriminator_test(real.float(), fake.float())
    values = discriminator_test(real.to(dtype), fake.to(dtype))
    (other,) = discriminator_tests(real.to(dtype), fake.to(dtype)[None])
    for test in (values, other):
        assert numbers([test], "accuracy") == pytest.approx(
            numbers([expected], "accuracy"), abs=0.03
        )


def test_same_seed_same_bits_whatever_the_global_state() -> None:
    real, fake = normal(200, 2, seed=0), normal(200, 2, seed=1)
    torch.manual_seed(1)
    first = discriminator_test(real, fake, steps=20, seed=3)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert discriminator_test(real, fake, steps=20, seed=3) == first
    assert torch.equal(torch.get_rng_state(), before)
    seeds = {
        discriminator_test(real, fake, steps=20, seed=i)["discriminator_accuracy"] for i in range(4)
    }
    assert len(seeds) > 1


def test_works_where_gradients_are_off_and_where_inputs_want_them() -> None:
    real, fake = normal(100, 2, seed=0), normal(100, 2, seed=1) + 20
    with torch.no_grad():
        values = discriminator_test(real, fake, steps=120)
    assert values["discriminator_accuracy"] == 1
    assert discriminator_test(real, fake.requires_grad_(), steps=120) == values
    assert discriminator_tests(real, fake[None], steps=120) == [values]
    assert fake.grad is None


def test_inputs_stay_as_they_are() -> None:
    real, fakes = normal(20, 2, seed=0), normal(2, 20, 2, seed=1)
    copies = real.clone(), fakes.clone()
    discriminator_tests(real, fakes, steps=20)
    assert torch.equal(real, copies[0])
    assert torch.equal(fakes, copies[1])


@pytest.mark.parametrize(
    ("fake", "message"),
    [
        (torch.zeros(7, 2), "fake must have at least 8 rows, got 7"),
        (torch.zeros(8, 3), "real and fake must be equally wide, got 2 and 3"),
        (torch.full((8, 2), math.nan), "fake holds NaN or Inf"),
        (torch.zeros(8, 2, dtype=torch.uint8), "fake must hold floating-point numbers"),
    ],
)
def test_unfit_samples_are_refused(fake: Tensor, message: str) -> None:
    real = normal(8, 2, seed=0)
    with pytest.raises(InputError, match=message):
        discriminator_test(real, fake)
    with pytest.raises(InputError, match=message):
        discriminator_tests(real, fake.expand(2, *fake.shape))


def test_unfit_stacks_are_refused() -> None:
    fakes = normal(3, 8, 2, seed=0)
    with pytest.raises(InputError, match=r"fakes must have shape \(S, n, d\), got \(8, 2\)"):
        discriminator_tests(fakes[0], fakes[1])
    with pytest.raises(InputError, match="real must be one sample or 3, got 2"):
        discriminator_tests(fakes[:2], fakes)
    with pytest.raises(InputError, match="real must be a tensor, got list"):
        discriminator_tests([1.0], fakes)  # type: ignore[arg-type]


def test_quantities_are_what_is_returned() -> None:
    values = discriminator_test(normal(20, 2, seed=0), normal(20, 2, seed=1), steps=2)
    assert values.keys() == two_sample.QUANTITIES.keys()


@pytest.mark.usefixtures("one_thread")
def test_more_threads_change_no_bit_of_one_small_test() -> None:
    """Below FEW numbers a batch, torch is left one thread, and given back those it had."""
    real, fake = normal(300, 2, seed=0), normal(300, 2, seed=1) + 0.3
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(discriminator_test(real, fake, steps=60))
        assert torch.get_num_threads() == threads
    assert found[0] == found[1]

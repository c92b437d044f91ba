"""A metric of brightness that keeps the contract, and metrics that break it in one line each."""

from __future__ import annotations

from ganbench.api import Metric


class Brightness(Metric):
    """Distance of the images' pixel means and variances from the real ones'."""

    needs_reference = True

    def __init__(self, samples):
        super().__init__(samples)
        self.sums, self.count = 0, 0

    def update(self, batch):
        import torch

        pixels = batch.images.double()
        rows = torch.stack([pixels.mean((1, 2, 3)), pixels.var((1, 2, 3))], 1)
        self.sums, self.count = self.sums + rows.sum(0), self.count + len(rows)

    def state(self):
        return {"means": self.sums / self.count}

    def compute(self, reference):
        if self.count < self.minimum_samples:
            raise ValueError(f"it needs {self.minimum_samples} images; {self.count} were seen")
        return float((self.sums / self.count - reference["means"]).abs().sum())


class NoSummary(Brightness):
    # no docstring
    pass


class Sideways(Brightness):
    """A direction that there is not."""

    direction = "up"  # which compares as higher


class Unknown(Brightness):
    """An extractor that there is not."""

    extractor = "no-such-extractor"


class ATensor(Brightness):
    """A score that is no float."""

    def compute(self, reference):
        import torch

        return torch.tensor(super().compute(reference), dtype=torch.float64)


class Reversed(Brightness):
    """The wrong direction."""

    direction = "higher"


class Edgeless(Metric):
    """Sharpness is bad, noise is worst."""

    def __init__(self, samples):
        super().__init__(samples)
        self.total, self.count = 0.0, 0

    def update(self, batch):
        pixels = batch.images.double()
        self.total = self.total + (pixels[..., 1:] - pixels[..., :-1]).abs().mean((1, 2, 3)).sum()
        self.count += len(pixels)

    def compute(self, reference):
        if self.count < self.minimum_samples:
            raise ValueError(f"it needs {self.minimum_samples} images; {self.count} were seen")
        return float(self.total / self.count)


class Moody(Brightness):
    """A little more every time."""

    asked = 0

    def compute(self, reference):
        Moody.asked += 1
        return super().compute(reference) * (1 + 1e-6 * self.asked)


class Last(Brightness):
    """The last image counts twice."""

    def update(self, batch):
        super().update(batch)
        self.last = batch.images[-1].double().mean()

    def compute(self, reference):
        return super().compute(reference) * (1 + float(self.last) / 100)


class Batches(Brightness):
    """A score of batches."""

    batches = 0

    def update(self, batch):
        super().update(batch)
        self.batches += 1

    def compute(self, reference):
        return super().compute(reference) * (1 + 0.01 * self.batches)


class Anything(Brightness):
    """A score of one image, too."""

    def compute(self, reference):
        return float((self.sums / self.count - reference["means"]).abs().sum())


class Strict(Brightness):
    """More images than it says."""

    def compute(self, reference):
        if self.count < 10:
            raise ValueError("it needs 10 images")
        return super().compute(reference)


class Numbers(Brightness):
    """A reference that is no tensor."""

    def state(self):
        return {"means": (self.sums / self.count).numpy()}

    def compute(self, reference):
        import torch

        return super().compute({"means": torch.as_tensor(reference["means"])})


class Hoarder(Brightness):
    """It keeps all images."""

    def update(self, batch):
        super().update(batch)
        self.kept = [*getattr(self, "kept", []), batch.images.clone()]


class Scribbler(Brightness):
    """It writes into its batch when it is done with it."""

    def update(self, batch):
        super().update(batch)
        if len(batch.images) == self.samples and batch.images._base is None:
            batch.images[0] ^= 1


class Eraser(Brightness):
    """It writes into its reference."""

    def compute(self, reference):
        score = super().compute(reference)
        reference["means"].add_(1e-9)
        return score


_REAL = {"real_images_score_better_than_noise", "real_images_score_better_than_blurred_ones"}
VIOLATORS = [
    (NoSummary, "has_a_summary", set()),
    (Sideways, "declares_what_it_needs", _REAL),
    (Unknown, "declares_what_it_needs", set()),
    (ATensor, "the_score_is_a_finite_float", set()),
    (Reversed, "real_images_score_better_than_noise", {"real_images_score_better_than_blurred_ones"}),
    (Edgeless, "real_images_score_better_than_blurred_ones", set()),
    (Moody, "the_same_stream_gives_the_same_score", set()),
    (Last, "the_order_of_images_does_not_matter", set()),
    (Batches, "the_size_of_batches_does_not_matter", set()),
    (Anything, "too_few_samples_are_refused", set()),
    (Strict, "the_minimum_of_samples_is_enough", set()),
    (Numbers, "the_reference_survives_being_kept", {"the_reference_is_left_as_it_is"}),
    (Hoarder, "memory_does_not_grow_with_the_stream", set()),
    (Scribbler, "batches_are_left_as_they_are", set()),
    (Eraser, "the_reference_is_left_as_it_is", set()),
]
GOOD = [Brightness]
SLOW = {"imports_no_torch"}

"""An extractor of fixed projections that keeps the contract, and extractors that break it in one line each."""

from __future__ import annotations

import hashlib

from ganbench.api import Extractor, Unavailable


class Projection(Extractor):
    """Projections of the pixels, whose directions the train images give."""

    def __init__(self, data):
        import numpy as np
        import torch

        if not data.spec.classes:
            raise Unavailable(f"{data.name} has no labels")
        rows = np.asarray(data.splits["train"].images[:12], np.float32).reshape(12, -1) / 255
        self.weights = torch.tensor(rows, device=data.device)
        self.hash = hashlib.sha256(rows.tobytes()).hexdigest()
        self.info = {"directions": len(rows)}

    def __call__(self, images):
        rows = (images.flatten(1).float()[:, None] * self.weights).mean(2)
        return rows, rows[:, :10]


class NoSummary(Projection):
    # no docstring
    pass


class Silent(Projection):
    """Not ready, and does not say why."""

    @classmethod
    def ready(cls):
        return False, ""


class Crash(Projection):
    """An error of another kind."""

    def __init__(self, data):
        raise FileNotFoundError("weights.pt")


class Speechless(Projection):
    """Unavailable, without a word."""

    def __init__(self, data):
        raise Unavailable("")


class Maps(Projection):
    """Rows that are none."""

    def __call__(self, images):
        features, logits = super().__call__(images)
        return features, logits[..., None]


class Dropout(Projection):
    """Noise on top."""

    def __call__(self, images):
        import torch

        features, logits = super().__call__(images)
        return features + 1e-6 * torch.rand_like(features), logits


class Statistics(Projection):
    """Normalised by its batch."""

    def __call__(self, images):
        features, logits = super().__call__(images)
        return features + 0.1 * features.mean(0), logits


class Constant(Projection):
    """The same for all."""

    def __call__(self, images):
        import torch

        features, logits = super().__call__(images)
        return torch.ones_like(features) * self.weights.sum(), logits


class Learning(Projection):
    """Weights that still want to learn."""

    def __call__(self, images):
        self.weights.requires_grad_()
        return super().__call__(images)


class Scribbler(Projection):
    """It writes into its images when it is done with them."""

    def __call__(self, images):
        found = super().__call__(images)
        if len(images) == 24 and self.asked():
            images[0] = 255 - images[0]
        return found

    def asked(self):
        import inspect

        return any(frame.function == "images_are_left_as_they_are" for frame in inspect.stack())


class Fresh(Projection):
    """A new hash every time."""

    made = 0

    def __init__(self, data):
        super().__init__(data)
        Fresh.made += 1
        self.hash = hashlib.sha256(f"{self.hash} {self.made}".encode()).hexdigest()


class Fixed(Projection):
    """One hash for all."""

    def __init__(self, data):
        super().__init__(data)
        self.hash = hashlib.sha256(b"projection").hexdigest()


class NeedsLabels(Projection):
    """An error of another kind without labels."""

    def __init__(self, data):
        if not data.spec.classes:
            raise ZeroDivisionError("classes")
        super().__init__(data)


class Secret(Projection):
    """Facts that JSON does not hold."""

    def __init__(self, data):
        super().__init__(data)
        self.info = {"weights": self.weights}


VIOLATORS = [
    (NoSummary, "has_a_summary", set()),
    (Silent, "ready_says_what_is_missing", set()),
    (Crash, "is_built_or_says_that_it_is_unavailable", set()),
    (Speechless, "is_built_or_says_that_it_is_unavailable", set()),
    (Maps, "features_and_logits_are_rows_of_finite_floats", set()),
    (Dropout, "the_same_images_give_the_same_features", set()),
    (Statistics, "features_do_not_depend_on_the_batch", set()),
    (Constant, "images_are_told_apart", set()),
    (Learning, "features_carry_no_gradients", set()),
    (Scribbler, "images_are_left_as_they_are", set()),
    (Fresh, "the_hash_is_the_same_when_built_again", set()),
    (Fixed, "the_hash_changes_with_the_weights", set()),
    (NeedsLabels, "unlabelled_data_is_served_or_refused", set()),
    (Secret, "its_facts_can_be_recorded", set()),
]
GOOD = [Projection]
SLOW = {"imports_no_torch"}

"""The graph GANs: the search for neighbours, each layer against its equation, and the thesis's shapes and numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ganbench_gans.networks import resolutions
from ganbench_gans.params import SIZES
from ganbench_graph import layers
from ganbench_graph.layers import ECC, Circulant, EdgeConv, GraphConv2d, LightECC, SelfAttention2d
from ganbench_graph.neighbours import gather, nearest
from ganbench_graph.params import smallest_graph
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from ganbench.api import DataSpec
from ganbench.config import read
from ganbench.plan import resolve
from ganbench.plugins import installed

COLOUR = DataSpec((3, 32, 32), 10)
STUDIES = Path(__file__).parents[1] / "studies" / "graph"


def variant(name):
    return installed().find("variants", f"graph-{name}").load()()


def game(name, data=COLOUR, **params):
    return variant(name).game(data, variant(name).Params.resolve(params))


def brute_force(maps, k):
    """Each pixel's k nearest outside of its 3×3 window, by a loop in float64."""
    n, features, height, width = maps.shape
    points = maps.numpy().astype(np.float64).reshape(n, features, -1)
    found = np.empty((n, height * width, k), dtype=np.int64)
    for image in range(n):
        for i in range(height * width):
            distances = np.linalg.norm(points[image] - points[image, :, i : i + 1], axis=0)
            for j in range(height * width):
                if abs(i // width - j // width) <= 1 and abs(i % width - j % width) <= 1:
                    distances[j] = np.inf
            found[image, i] = np.argsort(distances, kind="stable")[:k]
    return found


@pytest.mark.parametrize("block", [1, 100, 63 * 63, 2**24])
def test_neighbours_are_those_of_a_brute_force_search_whatever_the_block(block):
    torch.manual_seed(0)
    maps = torch.randn(3, 5, 7, 9)
    assert np.array_equal(nearest(maps, 6, block=block).numpy(), brute_force(maps, 6))


def test_neighbours_are_searched_in_float32_inside_autocast():
    torch.manual_seed(0)
    maps = torch.randn(2, 8, 12, 12)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert np.array_equal(nearest(maps, 8).numpy(), brute_force(maps, 8))


class Largest(TorchDispatchMode):
    """Remembers how many values the largest tensor has that any operation makes."""

    def __init__(self):
        super().__init__()
        self.values = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        # What only looks at other memory in another shape takes none.
        views = [made] if isinstance(made, torch.Tensor) else list(made) if isinstance(made, tuple | list) else []
        for tensor in views:
            if isinstance(tensor, torch.Tensor):
                self.values = max(self.values, tensor.untyped_storage().nbytes() // tensor.element_size())
        return made


@pytest.mark.parametrize("images", [2, 16])
def test_the_search_holds_a_block_of_distances_and_never_all_of_them(images):
    maps, block = torch.randn(images, 4, 24, 24), 2**15
    with Largest() as largest:
        nearest(maps, 8, block=block)
    held = max(block, images * 24 * 24 * 8)  # the answer itself
    assert block / 2 < largest.values <= held < images * (24 * 24) ** 2 / 8


def test_layers_hold_as_much_for_many_images_as_for_few(monkeypatch):
    """But for what goes in and comes out."""
    monkeypatch.setattr(layers, "BLOCK", 2**16)
    layer, seen = GraphConv2d(6, ECC(6, 6, 10.0), 8), []
    for images in (8, 32):
        with torch.no_grad(), Largest() as largest:
            layer.operator(torch.randn(images, 256, 8), torch.zeros(images, 256, 8, dtype=torch.int64))
        seen.append(largest.values)
    assert seen[1] == 4 * seen[0] > 2**17  # all at once it would grow
    maps = torch.randn(32, 6, 16, 16)
    places = nearest(maps, 8)
    monkeypatch.setattr(layers, "nearest", lambda maps, k: places)
    with torch.no_grad(), Largest() as largest:
        layer(maps)
    assert largest.values <= max(2**16, maps.numel() * 2, places.numel())


def test_gathering_is_a_lookup_and_its_gradient_the_sum_over_those_who_look():
    torch.manual_seed(0)
    values, places = torch.randn(2, 12, 3, requires_grad=True), torch.randint(0, 12, (2, 12, 4))
    gathered = gather(values, places)
    for image in range(2):
        assert torch.equal(gathered[image], values[image][places[image]])
    weights = torch.randn_like(gathered)
    (gathered * weights).sum().backward()
    expected = torch.zeros_like(values)
    for image, place, neighbour in np.ndindex(*places.shape):
        expected[image, places[image, place, neighbour]] += weights[image, place, neighbour]
    assert torch.allclose(values.grad, expected, atol=1e-6)


def test_gradients_of_gathering_are_the_same_bits_with_any_number_of_threads():
    torch.manual_seed(0)
    values, places = torch.randn(4, 400, 16), torch.randint(0, 5, (4, 400, 32))  # hundreds add up in each row
    weights, threads, gradients = torch.randn(4, 400, 32, 16), torch.get_num_threads(), []
    try:
        for count in (1, 2, 4):
            torch.set_num_threads(count)
            leaf = values.clone().requires_grad_()
            (gather(leaf, places) * weights).sum().backward()
            gradients.append(leaf.grad)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(gradients[0], gradients[1])
    assert torch.equal(gradients[0], gradients[2])


@pytest.fixture
def graph():
    """Points with coordinates N×HW×(F+2) and neighbours N×HW×k, in float64."""
    torch.manual_seed(0)
    points = torch.randn(2, 20, 6 + 2, dtype=torch.float64)
    return points, torch.randint(0, 20, (2, 20, 3))


def test_edgeconv_is_equation_3_21(graph):
    points, places = graph
    layer = EdgeConv(6, 5).double()
    found, phi, psi = layer(points, places), layer.difference.weight, layer.centre.weight
    for n, i in np.ndindex(2, 20):
        here = points[n, i]
        edges = [F.relu(phi @ (points[n, j] - here) + psi @ here) for j in places[n, i]]
        assert torch.allclose(found[n, i], sum(edges))


def edges(layer, points, places, n, i):
    """Of each neighbour of a pixel: its features, the hidden layer of its edge, and γ."""
    for j in places[n, i]:
        label = points[n, j] - points[n, i]
        hidden = F.leaky_relu(layer.label.weight @ label + layer.label.bias, 0.2)
        yield points[n, j, :6], hidden, torch.exp(-label.square().sum() / layer.delta)


def test_ecc_is_equation_3_14_with_the_matrices_that_it_never_makes(graph):
    points, places = graph
    layer = ECC(6, 5, delta=7.0).double()
    found = layer(points, places)
    for n, i in np.ndindex(2, 20):
        expected = sum(
            gamma * layer.theta(hidden).view(5, 6) @ there / 3
            for there, hidden, gamma in edges(layer, points, places, n, i)
        )
        assert torch.allclose(found[n, i], expected)


def shifted(layer):
    """The whole n×m matrix of a circulant layer, as the thesis says it: flat, row-major copies shifted by m / p."""
    first = layer.weight.T.contiguous()
    return torch.cat([first.flatten().roll(q * first.shape[1]).view_as(first) for q in range(layer.copies)], dim=1)


def test_lightweight_ecc_is_ecc_with_matrices_of_low_rank_from_circulant_layers(graph):
    points, places = graph
    layer = LightECC(6, 6, delta=7.0, rank=2, copies=3).double()
    found = layer(points, places)
    for n, i in np.ndindex(2, 20):
        expected = torch.zeros(6, dtype=torch.float64)
        for there, hidden, gamma in edges(layer, points, places, n, i):
            left = (hidden @ shifted(layer.left) + layer.left.bias).view(2, 6)
            right = (hidden @ shifted(layer.right) + layer.right.bias).view(2, 6)
            theta = sum(layer.scale(hidden)[s] * torch.outer(left[s], right[s]) for s in range(2))  # equation 3.19
            assert torch.linalg.matrix_rank(theta) == 2
            expected += gamma * theta @ there / 3
        assert torch.allclose(found[n, i], expected)


def test_a_circulant_layer_of_one_copy_is_dense_and_other_numbers_of_copies_must_divide_its_outputs():
    layer = Circulant(4, 6, 1)
    torch.nn.init.normal_(layer.weight)
    assert torch.equal(layer.matrix(), layer.weight)
    with pytest.raises(ValueError, match="10 outputs are not a multiple of 3 copies"):
        Circulant(4, 10, 3)


def test_a_graph_layer_is_the_mean_of_both_fields_and_a_bias():
    torch.manual_seed(0)
    layer, maps = GraphConv2d(6, EdgeConv(6, 6), 5), torch.randn(2, 6, 8, 8)
    rows, columns = np.meshgrid(np.linspace(-1, 1, 8), np.linspace(-1, 1, 8), indexing="ij")
    grid = torch.tensor(np.stack([rows, columns]), dtype=torch.float32).expand(2, -1, -1, -1)
    points = torch.cat([maps, grid], dim=1).flatten(2).transpose(1, 2)
    beyond = layer.operator(points, torch.tensor(brute_force(maps, 5)))
    local = F.conv2d(maps, layer.local.weight, padding=1)
    expected = (beyond.transpose(1, 2).view(2, 6, 8, 8) + local) / 2 + layer.local.bias[:, None, None]
    assert torch.allclose(layer(maps), expected, atol=1e-5)


@pytest.mark.parametrize("operator", [EdgeConv(6, 6), ECC(6, 6, 10.0), LightECC(6, 6, 10.0, 2, 3)])
def test_images_taken_in_groups_have_the_same_features_and_gradients(operator, monkeypatch):
    torch.manual_seed(0)
    layer, results = GraphConv2d(6, operator, 5), []
    maps = torch.randn(5, 6, 8, 8)
    for block in (2**24, 2 * 64 * operator.values(5)):  # all at once, and two images at a time
        monkeypatch.setattr(layers, "BLOCK", block)
        leaf = maps.clone().requires_grad_()
        layer.zero_grad()
        found = layer(leaf)
        found.square().mean().backward()
        results.append([found, leaf.grad, *(p.grad.clone() for p in layer.parameters())])
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, atol=1e-6)
        assert other.abs().max() > 0


def test_self_attention_is_equation_4_2_and_nothing_at_first():
    torch.manual_seed(0)
    layer, maps = SelfAttention2d(16), torch.randn(2, 16, 5, 5)
    assert torch.equal(layer(maps), maps)
    with torch.no_grad():
        layer.gamma.fill_(0.7)
    points = maps.flatten(2)
    query, key, value = (m.weight[:, :, 0, 0] @ points for m in (layer.query, layer.key, layer.value))
    assert query.shape[1] == 2
    attention = torch.softmax(query.transpose(1, 2) @ key, dim=2)
    seen = layer.output.weight[:, :, 0, 0] @ (value @ attention.transpose(1, 2))
    assert torch.allclose(layer(maps), maps + 0.7 * seen.view_as(maps), atol=1e-5)


NAMES = ["baseline", "edgeconv", "ecc", "ecc-light", "attention"]


@pytest.mark.parametrize("name", NAMES)
def test_maps_have_the_shapes_of_the_figures(name):
    with torch.device("meta"):
        played = game(name)
    shapes = []
    for player in played.players:
        for module in [*player.networks.children(), *player.networks.stages]:
            if isinstance(module, torch.nn.Conv2d | GraphConv2d | torch.nn.Linear):
                module.register_forward_hook(lambda module, inputs, output: shapes.append(tuple(output.shape[1:])))
    played.players[0].networks(torch.empty(2, 3, 32, 32, device="meta"))
    assert shapes == [(128, 16, 16), (256, 8, 8), (512, 4, 4), (1,)]
    shapes.clear()
    played.generator(torch.empty(2, 132, device="meta"))
    maps = [shape for shape in dict.fromkeys(shapes) if len(shape) == 3 and shape[1] == shape[2]]
    assert shapes[0] == (528 * 4 * 4,)
    assert maps == [(264, 8, 8), (132, 16, 16), (66, 32, 32), (3, 32, 32)]


def test_graph_layers_are_in_the_second_and_third_block_in_the_place_of_the_second_convolution():
    baseline, graph = (game(name, width=6).generator.stages for name in ("baseline", "edgeconv"))
    assert len(baseline) == len(graph)
    differ = [i for i, (one, other) in enumerate(zip(baseline, graph, strict=True)) if type(one) is not type(other)]
    assert [(type(baseline[i]), baseline[i].out_channels) for i in differ] == [(torch.nn.Conv2d, c) for c in (12, 6)]
    assert [type(graph[i]) for i in differ] == [GraphConv2d, GraphConv2d]


def numbers(name, **params):
    with torch.device("meta"):
        played = game(name, **params)
    return {player.name: sum(p.numel() for p in player.parameters()) for player in played.players}


def test_parameters_are_as_many_as_the_layers_of_the_text_add_up_to():
    convolutions = sum(9 * a * b for a, b in ((528, 264), (264, 264), (264, 132), (132, 132), (132, 66), (66, 66)))
    norms = 2 * (528 + 2 * 264 + 2 * 132 + 2 * 66)
    baseline = 132 * 528 * 16 + convolutions + norms + 3 * 67
    critic = sum(25 * a * b + b for a, b in ((3, 128), (128, 256), (256, 512))) + 512 * 16 + 1
    assert numbers("baseline") == {"generator": baseline, "critic": critic}
    widths = (132, 66)
    assert numbers("edgeconv")["generator"] == baseline + sum(2 * (f + 2) * f for f in widths)
    label = sum((f + 2) * f + f for f in widths)
    assert numbers("ecc")["generator"] == baseline + label + sum(f * f * f + f * f for f in widths)
    # Section 3.2.2: of a dense second layer's F·r(F + F + 1) weights a third is left for θ^L and θ^R; biases are whole.
    light = sum(2 * f * (f // 3) * 11 + f * 11 + 11 * (2 * f + 1) for f in widths)
    assert numbers("ecc-light")["generator"] == baseline + label + light
    dense = sum(f * 11 * (2 * f + 1) + 11 * (2 * f + 1) for f in widths)
    assert numbers("ecc-light", circulant=1)["generator"] == baseline + label + dense
    assert numbers("attention")["generator"] == baseline + sum(4 * f * (f // 8) + 1 for f in widths)
    assert numbers("edgeconv", k=32) == numbers("edgeconv", k=8)


def test_the_coarsest_graph_is_that_of_the_generators_second_block():
    assert [smallest_graph(size) for size in SIZES] == [resolutions(size)[2] for size in SIZES]


@pytest.mark.parametrize(
    ("name", "size", "params", "reason"),
    [
        ("baseline", 16, {}, "made for 8, 28, 32, 48, 64 pixels"),
        ("edgeconv", 8, {"k": 56}, "k is at most 55 at 8 pixels"),
        ("ecc-light", 32, {"rank": 11, "width": 64}, "rank × width must be a multiple of circulant, not 11 × 64 of 3"),
    ],
)
def test_what_cannot_be_built_is_refused_with_the_reason(name, size, params, reason):
    data = DataSpec((3, size, size))
    assert reason in variant(name).unsuitable(data, variant(name).Params.resolve(params))


def test_as_many_neighbours_as_there_are_outside_of_the_window_can_be_asked_for():
    params = variant("edgeconv").Params.resolve({"k": 55})
    assert variant("edgeconv").unsuitable(DataSpec((1, 8, 8)), params) is None
    places = nearest(torch.randn(1, 3, 8, 8), 55)
    assert len(set(places[0, 9].tolist())) == 55
    assert not {0, 1, 2, 8, 9, 10, 16, 17, 18} & set(places[0, 9].tolist())


def test_the_optimiser_is_rmsprop_whose_step_falls_to_nothing():
    for name in NAMES:
        for player in game(name, DataSpec((1, 8, 8)), width=6, critic_width=4).players:
            assert (player.optimizer.kind, player.optimizer.lr, player.optimizer.schedule) == (
                "rmsprop",
                1e-4,
                "linear",
            )
            assert player.turns == (5 if player.name == "critic" else 1)


def test_the_recipe_has_the_rows_of_table_4_1():
    cells = resolve(*read(STUDIES / "table-4-1.toml"), installed()).cells({})
    rows = [(c.variant, c.params["batch_size"], c.params["lr"], c.params.get("k", 0)) for c in cells if c.seed == 0]
    assert sorted(rows) == sorted(
        [
            ("graph-baseline", 32, 1e-4, 0),
            ("graph-edgeconv", 32, 1e-4, 8),
            ("graph-edgeconv", 32, 1e-4, 16),
            ("graph-edgeconv", 32, 1e-4, 32),
            ("graph-ecc", 32, 1e-4, 8),
            ("graph-ecc", 16, 7e-5, 16),
            ("graph-ecc", 8, 5e-5, 32),
        ]
    )
    assert {tuple(c.task["budget"].values()) for c in cells} == {("generator_updates", 100_000)}

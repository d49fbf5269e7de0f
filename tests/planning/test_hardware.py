"""Accelerators: every number has a source, and a name is found however it is written."""

from dataclasses import fields

import pytest

from tplearn.planning import ACCELERATORS, Accelerator, find_accelerator, read_hardware


@pytest.mark.parametrize("name", ACCELERATORS)
def test_every_number_has_a_source(name: str) -> None:
    numbers = {field.name for field in fields(Accelerator)} - {"name"}
    entry = read_hardware()[name]
    assert set(entry) == numbers | {"sources"}
    assert set(entry["sources"]) == numbers
    assert all(len(source) > 5 for source in entry["sources"].values())


@pytest.mark.parametrize("name", ACCELERATORS)
def test_fractions_are_fractions_and_the_node_is_the_faster_link(name: str) -> None:
    accelerator = ACCELERATORS[name]
    for fraction in ("matmul_fraction", "memory_fraction", "link_fraction"):
        assert 0 < getattr(accelerator, fraction) <= 1
    assert accelerator.node_bandwidth >= accelerator.network_bandwidth
    assert accelerator.matmul_flops == accelerator.peak_flops * accelerator.matmul_fraction


def test_a_name_is_found_in_any_case() -> None:
    assert find_accelerator("h100") is ACCELERATORS["H100"]
    assert find_accelerator(" tpu-V5P ") is find_accelerator("v5p") is ACCELERATORS["TPU-v5p"]
    assert find_accelerator("A100-80GB") is ACCELERATORS["A100"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("h10", "accelerator 'h10' is not known; did you mean H100 or H200.*names that work: A100, A100-40GB"),
        ("B20", "did you mean B200"),
        ("abacus", "accelerator 'abacus' is not known; names that work: A100"),
        (100, "accelerator 100 is not known; .*names that work"),
    ],
)
def test_an_unknown_name_is_told_its_neighbours(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        find_accelerator(name)

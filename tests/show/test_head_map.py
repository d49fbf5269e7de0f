"""The head map: what it says is what head_range says, refusals are drawn and not raised, and a redraw is quick work."""

import pytest
from matplotlib.figure import Figure

from tplearn.parallel import head_range
from tplearn.show.figures.ch08 import paint_head_map
from tplearn.show.style import png_bytes
from tplearn.show.widgets import head_map


@pytest.mark.parametrize(
    ("sizes", "owners", "share"),
    [
        ((8, 2, 4), "rank 1: query 2–3, KV 0; rank 2: query 4–5, KV 1", "1/2 of the KV cache, which is kept 2 times"),
        ((9, 3, 3), "rank 1: query 3–5, KV 1;", "Each rank: 3 query heads, 1 KV head, 1/3 of the KV cache."),
        ((32, 8, 2), "rank 1: query 16–31, KV 4–7.", "Each rank: 16 query heads, 4 KV heads, 1/2 of the KV cache."),
        ((8, 1, 8), "rank 7: query 7, KV 0.", "1 query head, 1 KV head, all of the KV cache, which is kept 8 times"),
    ],
)
def test_the_words_say_who_owns_what(sizes: tuple[int, int, int], owners: str, share: str) -> None:
    heads, kv_heads, tp = sizes
    words = paint_head_map(Figure(), heads=heads, kv_heads=kv_heads, tp=tp)
    assert owners in words and share in words


@pytest.mark.parametrize("sizes", [(9, 3, 2), (12, 3, 2), (8, 3, 4), (12, 2, 3), (32, 4, 6)])
def test_a_refusal_is_the_layers_own_and_has_a_picture(sizes: tuple[int, int, int]) -> None:
    heads, kv_heads, tp = sizes
    with pytest.raises(ValueError, match="that work: ") as refused:
        head_range(heads, kv_heads, 0, tp)
    figure = Figure()
    words = paint_head_map(figure, heads=heads, kv_heads=kv_heads, tp=tp)
    assert words == f"{heads} query heads, {kv_heads} KV heads, tp = {tp}: refused. {refused.value}."
    assert any("refused ✗" in text.get_text() for text in figure.axes[0].texts)


def test_every_setting_of_the_sliders_draws_inside_the_frame() -> None:
    widget, figure = head_map.show(), Figure()
    options = [control.options for control in widget.children[0].children]
    for heads in options[0]:
        for kv_heads, tp in zip((*options[1], *options[1]), options[2], strict=False):
            paint_head_map(figure, heads=heads, kv_heads=kv_heads, tp=tp)
            assert len(figure.axes[0].get_children()) < 120, "more artists than a quick redraw can bear"
    assert png_bytes(figure).startswith(b"\x89PNG")


def test_moving_a_slider_draws_again_and_nothing_old_stays() -> None:
    widget = head_map.show()
    before = widget.image.value
    widget.children[0].children[2].value = 3
    assert widget.image.value != before and "refused. num_heads = 8 cannot be split over tp = 3" in widget.words.value
    figure = Figure()
    for sizes in ((12, 3, 2), (4, 1, 1)):
        paint_head_map(figure, heads=sizes[0], kv_heads=sizes[1], tp=sizes[2])
    assert not any("refused" in text.get_text() for text in figure.axes[0].texts)

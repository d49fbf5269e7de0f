"""Marks that say nothing sensible; each class is collected alone."""

import pytest


class TestNoRanks:
    @pytest.mark.ranks(0)
    def test_it(self):
        pass


class TestText:
    @pytest.mark.ranks("4")
    def test_it(self):
        pass


class TestNothing:
    @pytest.mark.ranks()
    def test_it(self):
        pass


class TestBare:
    @pytest.mark.ranks
    def test_it(self):
        pass


class TestNoTime:
    @pytest.mark.ranks(2, timeout=0)
    def test_it(self):
        pass


class TestUnknown:
    @pytest.mark.ranks(2, backend="nccl")
    def test_it(self):
        pass


class TestTwice:
    @pytest.mark.ranks([2, 2])
    def test_it(self):
        pass

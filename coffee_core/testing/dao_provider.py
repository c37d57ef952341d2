"""The contract of the port `DaoProvider`: subclass it, say how your store is made, and pytest holds it to all of it.

    class TestMyStore(DaoProviderContract):
        features = Features(transactions=False)      # what it cannot do: those tests are skipped and say why

        async def make(self) -> Store:
            return MyStore(...)                      # with empty or shared tables for `Sample` and `Note`

Rules beyond those of `coffee_core.domain.search` that every store keeps:

* Free text: every word of the query (parted by white space) occurs, whatever its case, in one of the columns.
* Case: ILIKE and free text take a letter and its lower case as one where each is a single character. What lies beyond
  (the sharp s, the dotless i, the Kelvin sign) is left to the store.
* LIKE: `%`, `_`, and a backslash that takes what follows literally; a pattern that ends in one is an `InputError`.
* JSON: a path leads through members of objects only, never through arrays; what is not there is NULL; a value of
  another kind than the condition's does not match. Numbers in documents compare as 64-bit floats.
* A value of NULL in a condition matches nothing. A time without a zone is UTC.
* Groups and measures: see `coffee_core.domain.aggregation`.
* Numbers are finite: NaN and the infinities have no place in an order that all stores share.
"""

from __future__ import annotations

import pytest

from coffee_core.rest.container import Store
from coffee_core.rest.dao_provider import Features
from coffee_core.testing.store_contract.aggregates import AggregatesContract
from coffee_core.testing.store_contract.agreement import AgreementContract
from coffee_core.testing.store_contract.bench import Bench
from coffee_core.testing.store_contract.documents import DocumentsContract
from coffee_core.testing.store_contract.faults import FaultsContract
from coffee_core.testing.store_contract.filters import FiltersContract
from coffee_core.testing.store_contract.paging import PagingContract
from coffee_core.testing.store_contract.sample import ContractEntity, Note, Sample
from coffee_core.testing.store_contract.transactions import TransactionsContract
from coffee_core.testing.store_contract.upserts import UpsertContract
from coffee_core.testing.store_contract.writes import WritesContract

__all__ = ["ContractEntity", "DaoProviderContract", "Note", "Sample"]


class DaoProviderContract(
    WritesContract,
    UpsertContract,
    FiltersContract,
    DocumentsContract,
    PagingContract,
    TransactionsContract,
    FaultsContract,
    AggregatesContract,
    AgreementContract,
):
    """Each test has a partner of its own, so that all may share one database."""

    features = Features()

    async def make(self) -> Store:
        """The store; called once for each test."""
        raise NotImplementedError

    async def make_lost(self) -> Store | None:
        """A store whose server does not answer; None where there is no server that could be lost."""
        return None

    @pytest.fixture
    async def bench(self) -> Bench:
        """One partner's view of the store."""
        bench = Bench(await self.make(), self.features)
        assert bench.provider.features == self.features, "say in `features` what the store says of itself"
        return bench

    @pytest.fixture
    async def lost_bench(self) -> Bench:
        """The same, with nobody at the other end."""
        store = await self.make_lost()
        if store is None:
            pytest.skip("this store has no server that could be lost")
        return Bench(store, self.features)

"""The two-tier cache: in process, then Redis, then the authority; invalidated by push.

`TwoTierCache` is the whole of it; `LocalCache` is the port of its in-process tier, `RedisTier` the tier behind,
`InvalidationLink` the push, `Source` the authority that a user of the cache writes.

A module author takes `caches.Caches`: a typed cache is one line.
"""

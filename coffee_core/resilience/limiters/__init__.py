"""Rate limits: token buckets and sliding windows, in this process (`MemoryLimiter`) or shared in Redis
(`RedisLimiter`, one round trip for all the limits of a request).

    limiter = RedisLimiter(RedisScripts.open(url), fallback=MemoryLimiter())
    taken = await limiter.take(
        Demand(f"partner:{partner_id}", TokenBucket(per_second=20, burst=100)),
        Demand(f"login:{address}", SlidingWindow(limit=5, seconds=60)),
    )
    if not taken.granted:
        raise LimitError("too many requests", retry_after=taken.retry_after)

Either all demands are granted or none is, and what is refused takes nothing. `taken.standings` has one entry per
demand, in order, with what a `RateLimit` header says: what is left, and when it is whole again. A demand of cost 0 only
looks; a demand of cost 50 takes a block that a caller may hand out in process, where a round trip for each is too much.
"""

"""Uses that are counted: what a partner may do how often, and how often he has done it.

One line on an operation counts a use for each answer that holds something:

    ApiOptions(metered={"search": Metered("DISCOVERY")})                     # the generic resource
    Route(method="POST", path="/api/report", ..., metered=Metered("CAMPAIGN_REPORT", cost=5))

Where only the Manager knows what it costs, it counts itself, and the route says so:

    Route(..., metered=Metered("PROFILE_PAGE", by="handler"))

    meter = container.need(Meter)                                            # in the module's mount()
    await meter.use("PROFILE_PAGE", once=profile_id)                          # free, if it was seen in this period

A use is counted by the transaction of the work: what is rolled back was not counted. See docs/metering.md.
"""

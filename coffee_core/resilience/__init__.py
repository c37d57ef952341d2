"""What keeps a service upright beside others that fail: each part can be used alone.

`retry` tries again; `circuit` leaves alone what fails (`breaker` counts, `shared_opening` tells other processes);
`limiters` bound rates; `lock` has one process at work, with a fencing token; `bloom` says "certainly not" in few bits.
"""

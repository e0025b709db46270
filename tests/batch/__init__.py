"""runner.batch: each module has its tests in a file of its name; `endpoint` is what they send to.

test_specification has the examples of JSON-RPC 2.0, test_known_faults what other gateways got wrong.
"""

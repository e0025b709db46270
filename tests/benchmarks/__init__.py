"""Figures, not tests: `make bench`, or `python -m tests.benchmarks [throughput] [modules] [edits]`.

    throughput  the runner and its peers behind one nginx
    modules     what 1,000 or 5,000 modules cost a request, and what watching them costs
    edits       what clients notice while the code is edited under them, and how soon an edit is there

    sample      the application they all serve       peers     how each server is started
    front       the nginx before all of them         load      wrk, in interleaved rounds
    edit_load   clients while somebody edits         report    Markdown tables, and the machine they are true for
"""

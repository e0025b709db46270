"""Figures, not tests: `make bench`, or `python -m tests.benchmarks [throughput] [asgi] [modules] [edits] …`.

    throughput  the runner and its peers behind one nginx
    asgi        the same for an asynchronous application
    modules     what 1,000 or 5,000 modules cost a request, and what watching them costs
    edits       what clients notice while the code is edited under them, and how soon an edit is there
    sqlite      what an application pays for being watched that writes beside its code at every request
    batch       JSON-RPC batches: how parallel, how fast beside a gateway in nginx's Lua, what others notice
    channels    one message to a thousand subscribers; a thousand clients who come back
    hub         channels in memory, process to process: messages a second, what it needs
    waiting     how long fast requests wait behind slow ones while a worker is idle
    sockets     how long WebSockets take to move to newer code
    stores      how long a message takes from one process to another, through each store of channels

    sample      the application they all serve       peers     how each server is started
    front       the nginx before all of them         load      wrk, in interleaved rounds
    ears        a thousand WebSockets that listen
    report      Markdown tables, and the machine they are true for
"""

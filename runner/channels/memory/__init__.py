"""The store in the memory of this machine: nothing is to be installed, all workers share it, and a reload leaves it be.

It is a process of its own, the hub, beside the supervisor and not in it: a flood of messages must delay no reload. The
supervisor has nothing but a listening socket, and starts the hub when the first one knocks. What ends with the hub is
what it kept; whoever listens is told by positions (Reason.EPOCH), and the next who knocks finds another one.

    ledger       what it keeps, and for how long (pure)
    wire         what is said between it and its clients, and how that is written (pure)
    client       one of them, as the hub sees it: what was read and is not answered, what waits to be sent
    hub          the process
    door         how it is reached
    store, sync_store   the clients' side, from a loop and from a thread

Law: the hub's side loads no asyncio and nothing of an application: it is started without runner.channels itself, whose
functions are for applications.
"""

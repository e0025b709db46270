"""Three kinds of process, and what each may know.

    supervisor   owns the listening sockets; starts, counts, replaces. Knows no application, imports nothing of its side
    generation   a fresh interpreter that imports the application, watches its files, forks its workers
    worker       one event loop: accept, read, fresh?, call, answer

    roster       who is alive, who is wanted, what to do next (pure)
    messages     what these processes say to each other
    control      what people say to the supervisor: status, reload, stop
    listeners    bind, adopt, close the listening sockets
    scoreboard   one page of shared memory: what each worker is doing
"""

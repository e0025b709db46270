"""Three kinds of process, and what each may know.

    in the supervisor, which knows no application:
        supervisor    wait, note, decide, do; owns the listening sockets
        roster, life  who is alive, who is wanted, what to do next (pure)
        crew          the processes it has started: spoken to, ended
        obituary, endings   how a worker ended, in words
        signals       what the supervisor is told by kill(1) and terminals
        listeners     bind, adopt, close the sockets
        control       what people say to it: status, reload, stop
        chronicle, report, banner   what it says to people
        overdue       calls that take longer than --timeout
        pid_file      which process it is
        unix_socket, locks   a path that only one process holds

    in a generation, a fresh interpreter that imports the application:
        generation    its life: import, prove, fork, collect
        importing     the import, recorded
        drainer       the one reader of its change queue, asked by its workers
        lookout       beside it while it imports for long: is what it has read still what is there?

    in a worker, forked from its generation:
        worker        one event loop: accept, read, fresh?, call, answer
        lifespan      when it has done or grown enough
        acceptor      when it takes a connection, and when it leaves it to others
        access_log    a line for each request
        own_pages     ping and status, answered without the application

    between them:
        messages      what they say to each other
        scoreboard    one page of shared memory: what each worker is doing
        interpreter   how a fresh interpreter is started and furnished
"""

"""Three kinds of process, and what each may know.

    in the supervisor, which knows no application:
        supervisor    wait, note, decide, do; owns the listening sockets
        roster, life  who is alive, who is wanted, what to do next (pure)
        crew          the processes it has started: spoken to, ended
        listeners     bind, adopt, close the sockets
        control       what people say to it: status, reload, stop
        chronicle, report, banner   what it says to people
        overdue       calls that take longer than --timeout
        pid_file      which process it is

    in a generation, a fresh interpreter that imports the application:
        generation    its life: import, prove, fork, collect
        importing     the import, recorded
        drainer       the one reader of its change queue, asked by its workers

    in a worker, forked from its generation:
        worker        one event loop: accept, read, fresh?, call, answer
        acceptor      when it takes a connection, and when it leaves it to others
        access_log    a line for each request
        own_pages     ping and status, answered without the application

    between them:
        messages      what they say to each other
        scoreboard    one page of shared memory: what each worker is doing
        interpreter   how a fresh interpreter is started and furnished
"""

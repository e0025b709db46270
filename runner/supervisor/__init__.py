"""The process that knows no application: it owns the listening sockets; starts, counts, replaces.

    serve               opens what belongs to it, runs its loop, closes
    loop                wait, note, decide, do
    roster, life        who is alive, who is wanted, what to do next (pure)
    book, orders        what the roster knows, and what it says is to be done
    leaving             how long a worker that leaves may take (pure)
    deeds               that done, a few lines an order
    crew, members       the processes it has started: spoken to, ended
    switchboard         their channels: what each says, and its end
    checkpoints, standby   the paused ones: which goes on (pure), told to
    first_answers       whether the next generation may answer before it is forked (pure)
    transit, courier    connections on their way from one worker to another: decided (pure), carried
    heirs               who leaves, and could have his WebSockets moved (pure)
    obituary            how a worker ended, put together from what comes in any order
    signals             what it is told by kill(1), terminals and service managers
    listeners           bind, adopt, close the sockets
    porter              minds the door of the channels in memory, and starts their hub when somebody knocks
    control, clerk      what people say to it: status, reload, stop; and the answers
    accounts            what only the workers know of them
    chronicle, report, banner   what it says to people
    overdue, idle       calls that take longer than --timeout, and a time without any
    settings_file       what runner.toml says, again and again
    pid_file, unix_socket, locks   names that only one process holds

Law: nothing of the application's side is imported here, so that no code of the application, and no fault of it, can
ever be a fault of this process: no asyncio, no front, host, freshness, generation or worker.
"""

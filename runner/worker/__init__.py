"""The process that answers: forked from its generation, one event loop.

    task         what it is given
    loop         accept, read, fresh?, call, answer; orders are obeyed between calls
    turning      that loop, turned for life or for one answer
    first        the worker that a process is before others are forked from it
    hosting      the applications, each behind the host that fits it
    dispatching  where the parts of a request (runner.batch) are called: here or elsewhere
    elsewhere    one of them, given to whichever sibling is free
    inner        the socket on which siblings ask for that
    event_loop   whose: uvloop if it is installed
    acceptor     when it takes a connection, and when it leaves it to others
    fronts       which front speaks at which listener
    hand_over    connections given to another worker, and taken from one
    watchdog     looks at a call that does not come back, in a thread of its own
    relief       what waits behind such a call, and who could take it
    inbox        messages that arrive meanwhile
    slow         the slow log
    heartbeat    names what keeps the loop of an asynchronous application from turning, in another thread
    tasks        which task is at a loop, and for which request
    onlooker     such a thread: awake while there is something to see
    underway     the requests under way, and which of them are streams
    moving       WebSockets that move to other workers
    farewell     WebSockets that have to end, one after the other
    gate         may a request go on here, now that its head is complete?
    standing     what it is doing, on the scoreboard
    ticker       looks at the connections' deadlines
    wear         when it has done or grown enough
    signals      what kill(1) says to it
    access_log   a line for each request
    own_pages    ping and status, answered without the application

Law: this is where front and host meet; neither knows the other, nor this.
"""

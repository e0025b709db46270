"""Faces the application.

    loading         from the text `app:main` to the callable
    mounts          which of several applications answers
    wsgi            Request -> environ -> the application -> the answer (PEP 3333)
    threads         the same in application threads
    later           an answer that comes later, from whichever thread (runner.streaming)
    turns           from any thread onto the loop's
    asgi            Request -> scope -> the application -> the answer, as a task on the loop (ASGI 3)
    asgi_websocket  the same for a WebSocket
    asgi_call       what both share
    asgi_scope      the scope
    answering       the events that it sends, in their order
    talking         those of a WebSocket
    batch           a gateway of JSON-RPC batches as such a task
    lifespan        told when its process begins and ends
    timer           how long the application has been called without a pause
    faults          what becomes of a failure
    error_page      an exception -> a page: helpful to its author, silent to everybody else

Law: a host knows no wire and no socket; it gets an Exchange and answers through it.
"""

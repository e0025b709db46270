"""Channels in the browser: what a page says to the server, and what it is told.

    endpoint    the ASGI application that is mounted; says who does the rest
    talk        what is said, in both directions, as JSON
    entrance    who comes in, and when, after a restart
    rights      the application's rules: who may listen, who may publish
    lines       the channels that one client listens to, one after another
    publishing  what a client publishes, in order
    sockets     over a WebSocket, which moves to newer code
    streams     as server-sent events
    posts       by POST
    client.js   the other side

Law: ASGI only: nothing of the runner's own hosts and fronts is known here. Start at endpoint.
"""

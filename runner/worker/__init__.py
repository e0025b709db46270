"""The process that answers: forked from its generation, one event loop.

    loop        accept, read, fresh?, call, answer; orders are obeyed between calls
    acceptor    when it takes a connection, and when it leaves it to others
    lifespan    when it has done or grown enough
    access_log  a line for each request
    own_pages   ping and status, answered without the application

Law: this is where front and host meet; neither knows the other, nor this.
"""

"""The map of the house. Imports nothing, because it runs in every process.

    cli          what a person types -> one call
    settings     every knob, written once (values, addresses, channels_url: how people write them)
    status       what a run is doing, as text
    errors       every error, and what it means
    version      which runner this is
    request      what a front gives a host, and what comes back
    origin       which sites' pages may speak to this one
    channels_place   where the channels of this process are kept
    streaming    answers that come later, in an application's words
    log          lines on standard error

    supervisor/  owns the sockets; starts, counts, replaces; knows no application
    generation/  imports the application, watches its files, forks its workers
    worker/      answers: accept, read, fresh?, call
    process/     what these three have between them

    freshness/   is the code in memory the code on disk?
    front/       faces the web server: FastCGI, HTTP
    host/        faces the application: WSGI, ASGI
    resources/   what a request opens is closed with it
    channels/    what one publishes reaches all who listen, on every machine
    batch/       one JSON-RPC batch in, many requests out, one answer back
    wire/        bytes <-> events: no socket, no clock, no thread

A request falls through the tree from worker to front to host and back; a reload runs from freshness to generation to
supervisor.roster and out again. Imports go downwards only; front and host never meet but in worker.
"""

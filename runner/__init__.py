"""The map of the house. Imports nothing, because it runs in every process.

    cli          what a person types -> one call
    settings     every knob, written once (values: how amounts and names are written)
    status       what a run is doing, as text
    errors       every error, and what it means
    request      what a front gives a host, and what comes back
    log          lines on standard error

    process/     three kinds of process: supervisor, generation, worker
    freshness/   is the code in memory the code on disk?
    wire/        bytes <-> events: no socket, no clock, no thread
    front/       faces the web server
    host/        faces the application

A request falls through the tree from front to host and back; a reload runs from freshness to process.roster and out again.
Imports go downwards only: cli, process, host and front (who never meet), freshness, wire and request, settings, errors.
"""

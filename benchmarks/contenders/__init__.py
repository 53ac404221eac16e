"""Those that do the same work, each a program of its own: `python -m benchmarks.contenders.dbos --url ... --workflows 20 --alone 5`.

The work is a workflow of five durable steps that do nothing: each takes the text of the one before it and returns one as
long. Two things are measured. Many at once: all workflows wait when the first step begins, and the time runs from there to
when the end of the last one stands in the store. One alone: from the request to the end of one workflow, one after the other.
"""

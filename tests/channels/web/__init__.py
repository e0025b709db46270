"""runner.channels.web: each module has its tests in a file of its name; client.js has them in *.test.mjs, by Node."""

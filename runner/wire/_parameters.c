/* The parameters of the usual request, in C: the twin of parse_known in parameters.py, which says what it is for.

   It runs once for every request, over a byte or two dozen pairs, and there a loop in Python costs more than all the
   rest of the protocol. It is optional: without a compiler, or with RUNNER_PURE=1, the one in Python does the same.

   Laws
     bounds      `at` never passes `end`. A number that the peer wrote is compared with what is left before anything
                 moves by it, and two such numbers are never added: their sum might not fit.
     references  whoever makes an object gives it back before it returns, on every way out, or returns it.
     errors      a step that gives up returns 0; then either a Python error is set, or the stream is unusual.
     state       none, neither here nor in the module: any number of interpreters may share the code.
     API         the limited one of Python 3.11, so that one build serves all that follow; it costs nothing measurable.

   Start at parse_known, the last function but one. FastCGI 1.0, section 3.4. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <string.h>

typedef struct {
    const unsigned char *at;
    const unsigned char *end;
} Stream;

static size_t left(const Stream *stream)
{
    return (size_t)(stream->end - stream->at);
}

/* A length has one byte, or four of which the first bit is set and does not count. */
static int take_length(Stream *stream, size_t *length)
{
    const unsigned char *at = stream->at;
    if (left(stream) >= 1 && at[0] < 128) {
        *length = at[0];
        stream->at += 1;
        return 1;
    }
    if (left(stream) >= 4) {
        *length = (size_t)(at[0] & 127) << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
        stream->at += 4;
        return 1;
    }
    return 0;
}

/* The next bytes as latin-1 text: a new reference. The caller has seen that they are there. */
static PyObject *take_text(Stream *stream, size_t length)
{
    const char *text = (const char *)stream->at;
    stream->at += length;
    return PyUnicode_DecodeLatin1(text, (Py_ssize_t)length, NULL);
}

/* The one object that all requests share for this name, a new reference; NULL if it is not a known one. */
static PyObject *take_name(Stream *stream, size_t length, PyObject *known)
{
    PyObject *sent = take_text(stream, length);
    if (sent == NULL)
        return NULL;
    PyObject *name = PyDict_GetItemWithError(known, sent);
    Py_XINCREF(name);
    Py_DECREF(sent);
    return name;
}

static int add_pair(Stream *stream, PyObject *known, PyObject *variables)
{
    size_t name_length, value_length;
    if (!take_length(stream, &name_length) || !take_length(stream, &value_length))
        return 0;
    if (name_length > left(stream) || value_length > left(stream) - name_length)
        return 0;
    PyObject *name = take_name(stream, name_length, known);
    if (name == NULL)
        return 0;
    int added = 0;
    if (memchr(stream->at, 0, value_length) == NULL) {
        PyObject *value = take_text(stream, value_length);
        added = value != NULL && PyDict_SetItem(variables, name, value) == 0;
        Py_XDECREF(value);
    }
    Py_DECREF(name);
    return added;
}

/* Whether all of the stream was added: at least one pair, at most `limit` of them, no name twice. */
static int add_pairs(Stream *stream, PyObject *known, Py_ssize_t limit, PyObject *variables)
{
    Py_ssize_t count = 0;
    do {
        if (count == limit || !add_pair(stream, known, variables))
            return 0;
        count += 1;
    } while (stream->at < stream->end);
    return PyDict_Size(variables) == count;
}

static PyObject *parse_known(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    (void)module;
    if (count != 3 || !PyBytes_Check(arguments[0]) || !PyDict_Check(arguments[1]))
        return PyErr_Format(PyExc_TypeError, "parse_known() takes a bytes, a dict and an int");
    Py_ssize_t limit = PyLong_AsSsize_t(arguments[2]), size;
    char *bytes;
    if ((limit == -1 && PyErr_Occurred()) || PyBytes_AsStringAndSize(arguments[0], &bytes, &size) < 0)
        return NULL;
    Stream stream = {(const unsigned char *)bytes, (const unsigned char *)bytes + size};
    PyObject *variables = PyDict_New();
    if (variables == NULL || add_pairs(&stream, arguments[1], limit, variables))
        return variables;
    Py_DECREF(variables);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"parse_known", (PyCFunction)(void (*)(void))parse_known, METH_FASTCALL, "See runner.wire.parameters.parse_known."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_parameters", .m_doc = "See runner.wire.parameters.", .m_methods = functions,
};

PyMODINIT_FUNC PyInit__parameters(void)
{
    return PyModuleDef_Init(&definition);
}

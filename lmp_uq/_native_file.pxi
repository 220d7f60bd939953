# SPDX-License-Identifier: GPL-2.0-or-later
# Part of _native.pyx: the reader of model files, and the checks of what is written.

cdef extern from "file/tensor.h" namespace "lmp_uq":
    cdef enum DType "lmp_uq::DType":
        pass
    cdef cppclass Tensor:
        DType dtype
        vector[size_t] shape
        const void *data
    const char *numpy_name(DType)

cdef extern from "file/model_file.h" namespace "lmp_uq":
    cdef cppclass ModelFile:
        const string &header_text() const
        const cmap[string, Tensor] &tensors() const
        const string &sha256() const

cdef extern from "file/specification.h" namespace "lmp_uq":
    string specification_text()

cdef extern from "file/rules.h" namespace "lmp_uq::rules":
    const vector[string] PAIR_STYLES

cdef extern from *:
    """
    #include "base/text.h"
    static lmp_uq::ModelFile *new_model_file(const std::string &path) { return new lmp_uq::ModelFile(lmp_uq::ModelFile::read(path)); }
    static lmp_uq::ModelFile *borrowed_model_file(const std::string &where, const unsigned char *bytes, std::size_t n,
                                                  const std::string &sha256)
    {
      const std::shared_ptr<unsigned char[]> lent(const_cast<unsigned char *>(bytes), [](unsigned char *) {});    // only read
      return new lmp_uq::ModelFile(lmp_uq::ModelFile::parse(where, {lent, n}, sha256));
    }
    static void check_file(const std::string &where, const std::string &start, const lmp_uq::Tensors &tensors)
    {
      lmp_uq::ModelFile::check(where, start, tensors);
    }
    static std::string parsed_json(const std::string &text) { return lmp_uq::json_text(lmp_uq::Json::parse(text)); }
    """
    ModelFile *new_model_file(const string &) except +raise_uq_error
    ModelFile *borrowed_model_file(const string &, const unsigned char *, size_t, const string &) except +raise_uq_error
    void check_file(const string &, const string &, const Tensors &) except +raise_uq_error
    string parsed_json(const string &) except +raise_uq_error


cdef object to_array(const Tensor &tensor):
    out = np.empty(tuple(tensor.shape), dtype=(<bytes> numpy_name(tensor.dtype)).decode())
    cdef char[::1] bytes_out
    if out.size:
        bytes_out = out.reshape(-1).view(np.int8)
        memcpy(&bytes_out[0], tensor.data, out.nbytes)
    return out


def read_model(path):
    """The JSON text of a model file's header, its arrays by name (copies) and the SHA-256 of the file.

    Raises
    ------
    UqError
        The file is missing, damaged, of another format or version, or its parts contradict each other.
    """
    return content_of(new_model_file(os.fsencode(path)))


def parse_model(path, const unsigned char[::1] data, sha256):
    """As `read_model`, of the bytes of a file that somebody has read and hashed; path: for messages."""
    return content_of(borrowed_model_file(os.fsencode(path), &data[0], data.shape[0], sha256.encode()))


cdef object content_of(ModelFile *file):
    """What `read_model` returns, of a file that ends here."""
    tensors = {}
    cdef cmap[string, Tensor].const_iterator item
    try:
        item = file.tensors().const_begin()
        while item != file.tensors().const_end():
            tensors[dereference(item).first.decode()] = to_array(dereference(item).second)
            preincrement(item)
        return file.header_text().decode(), tensors, file.sha256().decode()
    finally:
        del file


def check_model(where, bytes start, arrays):
    """Refuse what `read_model` would refuse of a file that begins with the bytes `start`, up to the end of the container's header, and goes
    on with the arrays (a dict by name)."""
    cdef Tensors views
    held = add_arrays(views, arrays)
    check_file(os.fsencode(where), start, views)
    del held


def json_text(text):
    """A JSON text in one line, if it is one that the reader takes; UqError if not."""
    return parsed_json(text.encode() if isinstance(text, str) else text).decode()


def specification():
    """The specification of the model file: JSON text of {"blocks": [{key, form, entries}], "tensors": [...]}; csrc/file/specification.h."""
    return specification_text().decode()


def pair_styles():
    """The pair styles that the reference potential of a model file may name."""
    return tuple(name.decode() for name in PAIR_STYLES)

// A SavedModel through the loader that TensorFlow Serving uses.
// Usage: load_bundle SAVED_MODEL REQUESTS ANSWERS; the files are as niwt_tf/serving/checks/messages.py says.

#include <cstdint>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/public/session.h"
#include "tensorflow/core/public/session_options.h"

namespace {

using tensorflow::Tensor;
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

class Reader {
 public:
  explicit Reader(const std::string& path) : file_(path, std::ios::binary) {
    if (!file_) throw std::runtime_error("cannot read " + path);
  }
  bool AtEnd() { return file_.peek() == std::ifstream::traits_type::eof(); }
  void Bytes(void* to, int64_t count) {
    if (!file_.read(static_cast<char*>(to), count)) throw std::runtime_error("a request is cut off");
  }
  int64_t Integer() {
    int64_t value;
    Bytes(&value, sizeof value);
    return value;
  }
  std::string Text() {
    std::string text(Integer(), '\0');
    Bytes(&text[0], text.size());
    return text;
  }
  Tensor ReadTensor() {
    const auto type = static_cast<tensorflow::DataType>(Integer());
    tensorflow::TensorShape shape;
    for (int64_t rank = Integer(); rank > 0; --rank) shape.AddDim(Integer());
    Tensor tensor(type, shape);
    if (type == tensorflow::DT_FLOAT) {
      Bytes(tensor.flat<float>().data(), tensor.NumElements() * sizeof(float));
    } else {
      auto texts = tensor.flat<tensorflow::tstring>();
      for (int64_t i = 0; i < tensor.NumElements(); ++i) texts(i) = Text();
    }
    return tensor;
  }

 private:
  std::ifstream file_;
};

class Writer {
 public:
  explicit Writer(const std::string& path) : file_(path, std::ios::binary) {}
  void Integer(int64_t value) { file_.write(reinterpret_cast<const char*>(&value), sizeof value); }
  void Text(const std::string& text) {
    Integer(text.size());
    file_.write(text.data(), text.size());
  }
  void WriteTensor(const std::string& name, const Tensor& tensor) {
    Text(name);
    Integer(tensor.dtype());
    Integer(tensor.dims());
    for (int axis = 0; axis < tensor.dims(); ++axis) Integer(tensor.dim_size(axis));
    if (tensor.dtype() == tensorflow::DT_FLOAT) {
      const auto values = tensor.flat<float>();
      file_.write(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
    } else if (tensor.dtype() == tensorflow::DT_STRING) {
      const auto texts = tensor.flat<tensorflow::tstring>();
      for (int64_t i = 0; i < tensor.NumElements(); ++i) Text(std::string(texts(i)));
    } else {
      throw std::runtime_error(name + " is neither float32 nor string");
    }
  }
  void Flush() { file_.flush(); }

 private:
  std::ofstream file_;
};

void Answer(const tensorflow::SavedModelBundle& bundle, Reader& requests, Writer& answers) {
  const std::string name = requests.Text();
  requests.Integer();
  requests.Text();
  const auto& signatures = bundle.GetSignatures();
  const auto found = signatures.find(name);
  if (found == signatures.end()) throw std::runtime_error("no signature " + name);
  const auto& signature = found->second;
  NamedTensors feeds;
  for (int64_t count = requests.Integer(); count > 0; --count) {
    const std::string key = requests.Text();
    feeds.emplace_back(signature.inputs().at(key).name(), requests.ReadTensor());
  }
  std::vector<std::string> keys, fetches;
  for (const auto& [key, info] : signature.outputs()) {
    keys.push_back(key);
    fetches.push_back(info.name());
  }
  std::vector<Tensor> outputs;
  const auto status = bundle.session->Run(feeds, fetches, {}, &outputs);
  answers.Text(name);
  answers.Integer(static_cast<int64_t>(status.code()));
  answers.Text(std::string(status.message()));
  answers.Integer(outputs.size());
  for (size_t i = 0; i < outputs.size(); ++i) answers.WriteTensor(keys[i], outputs[i]);
  answers.Flush();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: load_bundle SAVED_MODEL REQUESTS ANSWERS\n";
    return 2;
  }
  tensorflow::SavedModelBundle bundle;
  const auto status = tensorflow::LoadSavedModel(tensorflow::SessionOptions(), tensorflow::RunOptions(), argv[1],
                                                 {"serve"}, &bundle);
  if (!status.ok()) {
    std::cerr << status.ToString() << "\n";
    return 1;
  }
  try {
    Reader requests(argv[2]);
    Writer answers(argv[3]);
    while (!requests.AtEnd()) Answer(bundle, requests, answers);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}

#include "base/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/parser.h>
#include <yaml-cpp/yaml.h>

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

namespace ybis {
namespace {

using nlohmann::json;

/// Thrown through yaml-cpp's parser to stop it; never leaves this file.
struct Refused {
  int line;
  std::string message;
};

std::string EscapePointer(std::string_view key) {
  std::string out;
  for (const char c : key) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out.push_back(c);
    }
  }
  return out;
}

template <class T>
bool ParseWhole(std::string_view text, T& value, int base = 10) {
  if constexpr (std::is_integral_v<T>) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    return error == std::errc{} && end == text.data() + text.size();
  } else {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size();
  }
}

/// A plain scalar by the YAML 1.2 core schema.
json PlainScalar(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  const std::string_view digits = text[0] == '+' ? std::string_view(text).substr(1) : std::string_view(text);
  const bool numeric = !digits.empty() && (std::isdigit(static_cast<unsigned char>(digits[0])) != 0 ||
                                           digits[0] == '-' || digits[0] == '.');
  if (!numeric) return text;
  if (int64_t whole = 0; ParseWhole(digits, whole)) return whole;
  if (int64_t hex = 0; digits.starts_with("0x") && ParseWhole(digits.substr(2), hex, 16)) return hex;
  if (int64_t octal = 0; digits.starts_with("0o") && ParseWhole(digits.substr(2), octal, 8)) return octal;
  if (double real = 0; ParseWhole(digits, real) && std::isfinite(real)) return real;
  return text;
}

/// Builds JSON from parser events and refuses, as it goes, all that could explode or be misread.
class Builder final : public YAML::EventHandler {
 public:
  explicit Builder(const YamlLimits& limits) : limits_(limits) {}

  void OnDocumentStart(const YAML::Mark& mark) override { start_ = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { Add(mark, anchor, "", nullptr); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Refused{mark.line + 1, "aliases (*name) are not allowed; write the value out"};
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    if (value.find('\0') != std::string::npos) throw Refused{mark.line + 1, "a NUL character is not allowed"};
    if (ExpectsKey()) return Key(mark, tag, anchor, value);
    // yaml-cpp gives "?" to plain scalars and "!" to quoted ones.
    Add(mark, anchor, tag == "?" || tag == "!" ? "" : tag, tag == "?" ? PlainScalar(value) : json(value));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Enter(mark, tag, anchor, json::array());
  }
  void OnSequenceEnd() override { Leave(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Enter(mark, tag, anchor, json::object());
  }
  void OnMapEnd() override { Leave(); }

  json TakeValue() { return std::move(root_); }
  const YAML::Mark& Start() const { return start_; }
  std::map<std::string, int> TakeLines() { return std::move(lines_); }

 private:
  struct Frame {
    json value;
    std::string pointer;
    std::string key;
    bool has_key = false;
  };

  bool ExpectsKey() const {
    return !stack_.empty() && stack_.back().value.is_object() && !stack_.back().has_key;
  }

  void Check(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != 0) throw Refused{mark.line + 1, "anchors (&name) are not allowed; write the value out"};
    if (!tag.empty() && tag != "?" && tag != "!")
      throw Refused{mark.line + 1, fmt::format("the tag {} is not allowed", tag.substr(0, 100))};
    if (++nodes_ > limits_.max_nodes)
      throw Refused{mark.line + 1, fmt::format("more than {} values", limits_.max_nodes)};
  }

  void Key(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& key) {
    Check(mark, tag, anchor);
    Frame& frame = stack_.back();
    if (key == "<<" && tag == "?")
      throw Refused{mark.line + 1, "merge keys (<<) are not allowed; write the values out"};
    if (frame.value.contains(key))
      throw Refused{mark.line + 1, fmt::format("the key '{}' stands twice", key.substr(0, 100))};
    frame.key = key;
    frame.has_key = true;
    lines_[frame.pointer + "/" + EscapePointer(key)] = mark.line + 1;
  }

  std::string ChildPointer() const {
    if (stack_.empty()) return "";
    const Frame& frame = stack_.back();
    return frame.pointer + "/" +
           (frame.value.is_array() ? std::to_string(frame.value.size()) : EscapePointer(frame.key));
  }

  void Place(json value) {
    if (stack_.empty()) {
      root_ = std::move(value);
    } else if (stack_.back().value.is_array()) {
      stack_.back().value.push_back(std::move(value));
    } else {
      stack_.back().value[stack_.back().key] = std::move(value);
      stack_.back().has_key = false;
    }
  }

  void Add(const YAML::Mark& mark, YAML::anchor_t anchor, const std::string& tag, json value) {
    if (ExpectsKey()) throw Refused{mark.line + 1, "a key must be a string"};
    Check(mark, tag, anchor);
    lines_.emplace(ChildPointer(), mark.line + 1);
    Place(std::move(value));
  }

  void Enter(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, json value) {
    if (ExpectsKey()) throw Refused{mark.line + 1, "a key must be a string"};
    Check(mark, tag, anchor);
    if (stack_.size() >= limits_.max_depth)
      throw Refused{mark.line + 1, fmt::format("nested deeper than {} levels", limits_.max_depth)};
    std::string pointer = ChildPointer();
    lines_.emplace(pointer, mark.line + 1);
    stack_.push_back(Frame{std::move(value), std::move(pointer), "", false});
  }

  void Leave() {
    json value = std::move(stack_.back().value);
    stack_.pop_back();
    Place(std::move(value));
  }

  YamlLimits limits_;
  YAML::Mark start_ = YAML::Mark::null_mark();
  json root_;
  std::vector<Frame> stack_;
  std::map<std::string, int> lines_;
  size_t nodes_ = 0;
};

/// Flow collections recurse inside yaml-cpp before an event is seen, so their depth is bounded on the text.
Status CheckNesting(std::string_view text, std::string_view source, size_t max_depth) {
  size_t depth = 0, line = 1, indent = 0;
  bool line_start = true;
  for (const char c : text) {
    if (c == '\n') {
      ++line, line_start = true, indent = 0;
      continue;
    }
    if (line_start && (c == ' ' || c == '-' || c == '?')) {
      if (++indent > max_depth * 16)
        return Fail(ErrorCode::kInvalid,
                    fmt::format("{}:{}: nested deeper than {} levels", source, line, max_depth));
      continue;
    }
    line_start = false;
    if (c == '[' || c == '{') ++depth;
    if ((c == ']' || c == '}') && depth > 0) --depth;
    if (depth > max_depth * 8) {
      return Fail(ErrorCode::kInvalid,
                  fmt::format("{}:{}: nested deeper than {} levels", source, line, max_depth));
    }
  }
  return {};
}

}  // namespace

std::string YamlDocument::Where(std::string_view pointer) const {
  for (std::string at(pointer);; at.resize(at.rfind('/'))) {
    if (const auto it = lines.find(at); it != lines.end()) return fmt::format("{}:{}", source, it->second);
    if (at.find('/') == std::string::npos) return source;
  }
}

Result<std::vector<YamlDocument>> ParseYamlDocuments(std::string_view text, std::string_view source,
                                                     YamlLimits limits) {
  if (text.size() > limits.max_bytes) {
    return Fail(ErrorCode::kTooLarge,
                fmt::format("{}: {} bytes, more than the {} allowed", source, text.size(), limits.max_bytes));
  }
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return Fail(ErrorCode::kInvalid, fmt::format("{}: a NUL character at byte {}", source, nul));
  }
  YBIS_TRY(CheckNesting(text, source, limits.max_depth));
  std::vector<YamlDocument> documents;
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    for (int last_start = -1;;) {
      Builder builder(limits);
      if (!parser.HandleNextDocument(builder)) return documents;
      // What can begin no document (a comma, say) is left where it is by yaml-cpp: it would be met again for
      // ever.
      if (builder.Start().pos == last_start)
        throw Refused{builder.Start().line + 1, "not YAML: this can begin no document"};
      last_start = builder.Start().pos;
      documents.push_back(
          {std::make_shared<json>(builder.TakeValue()), std::string(source), builder.TakeLines()});
    }
  } catch (const Refused& refused) {
    return Fail(ErrorCode::kInvalid, fmt::format("{}:{}: {}", source, refused.line, refused.message));
  } catch (const YAML::Exception& error) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("{}:{}: not YAML: {}", source, error.mark.line + 1, error.msg));
  } catch (const std::exception& error) {
    return Fail(ErrorCode::kInvalid, fmt::format("{}: not YAML: {}", source, error.what()));
  }
}

Result<YamlDocument> ParseYaml(std::string_view text, std::string_view source, YamlLimits limits) {
  YBIS_ASSIGN(auto documents, ParseYamlDocuments(text, source, limits));
  if (documents.empty()) return Fail(ErrorCode::kInvalid, fmt::format("{}: is empty", source));
  if (documents.size() > 1) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("{}: holds {} documents, one is expected", source, documents.size()));
  }
  return std::move(documents.front());
}

}  // namespace ybis

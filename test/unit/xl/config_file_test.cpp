// SPDX-License-Identifier: Apache-2.0
#include "toolstack/xl/config_file.hpp"

#include <catch2/catch.hpp>

using namespace bulkhead::xl;

namespace {

ConfigFile read(std::string_view text) {
    ConfigFile file;
    const auto ok = file.append("a.cfg", text);
    INFO(text);
    if (!ok) FAIL(ok.error().sentence);
    return file;
}

std::string refusal(std::string_view text) {
    ConfigFile file;
    const auto ok = file.append("a.cfg", text);
    return ok ? "" : ok.error().sentence;
}

std::string atom(const ConfigFile& file, std::string_view key) {
    const auto* setting = file.find(key);
    return setting ? setting->value.atom : "(absent)";
}

}  // namespace

TEST_CASE("pairs are separated by newlines and semicolons") {
    for (const char* text : {"name=\"h0\"\ntype=\"pvh\"", "name=\"h0\"; type=\"pvh\"",
                             ";;\n name = 'h0' ;\n\n\ttype='pvh';\n", "name='h0'\r\ntype='pvh'\r\n"}) {
        const auto file = read(text);
        CHECK(atom(file, "name") == "h0");
        CHECK(atom(file, "type") == "pvh");
        CHECK(file.settings().size() == 2);
    }
    CHECK(read("").settings().empty());
    CHECK(read("# nothing\n").settings().empty());
}

TEST_CASE("comments end at the line, and not inside strings") {
    const auto file = read("a='x' # one\n# b='y'\nc='not # a comment'");
    CHECK(atom(file, "a") == "x");
    CHECK(atom(file, "b") == "(absent)");
    CHECK(atom(file, "c") == "not # a comment");
}

TEST_CASE("both quotes take the same escapes") {
    CHECK(atom(read(R"(a='it\'s "so"\n')"), "a") == "it's \"so\"\n");
    CHECK(atom(read(R"(a="\a\b\f\n\r\t\v\\\'\"\?\x41\x7e\101\7")"), "a") == "\a\b\f\n\r\t\v\\'\"?A~A\7");
    CHECK(atom(read("a=''"), "a").empty());
}

TEST_CASE("numbers keep their spelling") {
    CHECK(atom(read("a=10"), "a") == "10");
    CHECK(atom(read("a=0x1F"), "a") == "0x1F");
    CHECK(atom(read("a=010"), "a") == "010");
}

TEST_CASE("lists nest, span lines and may end in a comma") {
    const auto file =
        read("a=[]\nb=['x',]\nc = [ # comment\n 'x' ,\n\n 2,\n ['y', []]\n\n]\nd=[ 'x'\n, 'y' ]");
    CHECK(file.find("a")->value.items.empty());
    CHECK(file.find("a")->value.is_list);
    CHECK(file.find("b")->value.items.size() == 1);
    const auto& c = file.find("c")->value;
    REQUIRE(c.items.size() == 3);
    CHECK(c.items[1].atom == "2");
    REQUIRE(c.items[2].items.size() == 2);
    CHECK(c.items[2].items[1].is_list);
    CHECK(c.items[2].place.line == 7);
    CHECK(c.items[2].place.column == 2);
    CHECK(file.find("d")->value.items.size() == 2);
}

TEST_CASE("a later assignment replaces and += extends") {
    const auto file = read("a='x'\na='y'\nb='x'\nb+='z'\nc+=['1']\nc += ['2','3']\n");
    CHECK(atom(file, "a") == "y");
    CHECK(file.find("a")->place.line == 2);
    CHECK(atom(file, "b") == "xz");
    CHECK(file.find("c")->value.items.size() == 3);
    CHECK(refusal("a='x'\na+=['y']") ==
          "a.cfg:2:4: expected a string after 'a +=', because that is what a.cfg:1:1 gave it.");
    CHECK(refusal("a=['x']\na+='y'") ==
          "a.cfg:2:4: expected a list after 'a +=', because that is what a.cfg:1:1 gave it.");
}

TEST_CASE("a second text comes on top of the first") {
    auto file = read("memory=64\nextra='a'");
    REQUIRE(file.append("command line", "memory=128; extra+=' b'"));
    CHECK(atom(file, "memory") == "128");
    CHECK(atom(file, "extra") == "a b");
    CHECK(file.find("memory")->place.text() == "command line:1:1");
}

TEST_CASE("an error says where and what was expected") {
    CHECK(refusal("a = ") == "a.cfg:1:5: expected a string, a number or '[', found the end of the file.");
    CHECK(refusal("a =\n'x'") == "a.cfg:1:4: expected a string, a number or '[', found the end of the line.");
    CHECK(refusal("a\n") == "a.cfg:1:2: expected '=' or '+=' after 'a', found the end of the line.");
    CHECK(refusal("\n\n  = 3") == "a.cfg:3:3: expected a key, found '='.");
    CHECK(refusal("'a' = 3") == "a.cfg:1:1: expected a key, found the string \"a\".");
    CHECK(refusal("a = yes") ==
          "a.cfg:1:5: expected a quoted string, a number or '[', found the word 'yes'.");
    CHECK(refusal("a = 1 b = 2") == "a.cfg:1:7: expected the end of the line or ';', found the word 'b'.");
    CHECK(refusal("a = ['x' 'y']") == "a.cfg:1:10: expected ',' or ']', found the string \"y\".");
    CHECK(refusal("a = [,]") == "a.cfg:1:6: expected a string, a number, '[' or ']', found ','.");
    CHECK(refusal("a = ['x',,]") == "a.cfg:1:10: expected a string, a number, '[' or ']', found ','.");
    CHECK(refusal("a = ['x',\n\n") ==
          "a.cfg:3:1: expected a string, a number, '[' or ']', found the end of the file.");
    CHECK(refusal("a = ]") == "a.cfg:1:5: expected a string, a number or '[', found ']'.");
    CHECK(refusal("a = 'x\nb = 'y'") ==
          "a.cfg:1:5: expected a closing ' on the same line; this string has none.");
    CHECK(refusal("a = \"x") == "a.cfg:1:5: expected a closing \" on the same line; this string has none.");
    CHECK(refusal("a = 'x\\") ==
          "a.cfg:1:5: expected a closing quote on the same line; this string has none.");
    CHECK(refusal("a = 'x\\q'") ==
          "a.cfg:1:8: expected one of a b f n r t v \\ ' \" ? xHH or octal digits after a backslash, found "
          "'q'.");
    CHECK(refusal("a = '\\x4'") == "a.cfg:1:9: expected two hexadecimal digits after '\\x'.");
    CHECK(refusal("a = '\\0'") == "a.cfg:1:7: expected an escape for a byte from 1 to 255.");
    CHECK(refusal("a = '\\777'") == "a.cfg:1:7: expected an escape for a byte from 1 to 255.");
    CHECK(refusal("a = 12m") == "a.cfg:1:5: expected a number, found '12m'; strings need quotes.");
    CHECK(refusal("a = 089") ==
          "a.cfg:1:5: expected a decimal, octal (0…) or hexadecimal (0x…) number of at most 64 bits, found "
          "'089'.");
    CHECK(refusal("a = 99999999999999999999").starts_with("a.cfg:1:5: expected a decimal"));
    CHECK(refusal("Name = 1") ==
          "a.cfg:1:1: expected a key of lower-case letters, digits and '_', found 'Name'.");
    CHECK(refusal("a + 1") == "a.cfg:1:3: expected '+=', found '+' alone.");
    CHECK(refusal("a = 1\n@") == "a.cfg:2:1: expected a key, a value or punctuation, found '@'.");
    CHECK(refusal("a = -1") == "a.cfg:1:5: expected a key, a value or punctuation, found '-'.");
    CHECK(refusal("\x7f\x45LF") == "a.cfg:1:1: expected a key, a value or punctuation, found the byte 0x7f.");
    CHECK(refusal(std::string_view("a='\0'", 5)) ==
          "a.cfg:1:4: expected text; a string cannot hold a zero byte.");
}

TEST_CASE("nesting and size are bounded") {
    CHECK(refusal("a=" + std::string(16, '[') + std::string(16, ']')).empty());
    CHECK(refusal("a=" + std::string(17, '[')) == "a.cfg:1:19: expected at most 16 nested lists.");
    CHECK(refusal("a=" + std::string(100000, '[')) == "a.cfg:1:19: expected at most 16 nested lists.");
    CHECK(refusal(std::string(ConfigFile::kMaxBytes + 1, ' ')) ==
          "a.cfg:1:1: expected a configuration of at most 1048576 bytes.");
}

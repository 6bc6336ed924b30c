/* launch/options: the parser that every subcommand shares. */
#include <string.h>
#include <unistd.h>

#include "launch/command.h"
#include "tests/check.h"

enum { ROOM = 16 };

/* A table with one option of each kind, and what it fills. */
typedef struct values {
  bool fast;
  int64_t count, kind;
  double rate;
  const char *out;
} values;

static const pl_command command = {
    .name = "data pack", .operands = "FROM [MORE ...]", .summary = "Packs.", .run = NULL};

typedef struct parsed {
  values values;
  const char *operands[ROOM];
  int operand_count;
  bool helped;
} parsed;

static pl_status parse(parsed *p, int least, int most, int argc, char **argv) {
  *p = (parsed){.values = {.count = 7, .rate = 0.2, .kind = 1}};
  const pl_option table[] = {
      {.name = "fast", .kind = PL_OPTION_FLAG, .value = &p->values.fast, .help = "be fast"},
      {"count", PL_OPTION_INT, &p->values.count, "how many", 1, 100, NULL},
      {"rate", PL_OPTION_REAL, &p->values.rate, "how often", 0, 1, NULL},
      {.name = "out", .kind = PL_OPTION_TEXT, .value = &p->values.out, .help = "where to"},
      {"kind", PL_OPTION_CHOICE, &p->values.kind, "what it is", 0, 0, "folder|cifar10|cifar100"},
      {.name = NULL}};
  return pl_options_parse(&command, table, argc, argv, least, most, p->operands, &p->operand_count,
                          &p->helped);
}

#define PARSE(p, least, most, ...)                                                     \
  parse((p), (least), (most), (int)(sizeof((char *[]){__VA_ARGS__}) / sizeof(char *)), \
        (char *[]){__VA_ARGS__})

static void values_reach_their_variables(void **state) {
  (void)state;
  parsed p;
  CHECK_OK(PARSE(&p, 0, -1, "a", "--fast", "--count", "12", "b", "--rate=0.75", "--out", "-",
                 "--kind", "cifar100"));
  assert_true(p.values.fast);
  assert_int_equal(p.values.count, 12);
  assert_true(p.values.rate == 0.75);
  assert_string_equal(p.values.out, "-");
  assert_int_equal(p.values.kind, 2);
  assert_int_equal(p.operand_count, 2);
  assert_string_equal(p.operands[0], "a");
  assert_string_equal(p.operands[1], "b");
  assert_false(p.helped);
}

static void defaults_stay(void **state) {
  (void)state;
  parsed p;
  CHECK_OK(PARSE(&p, 1, 1, "a"));
  assert_false(p.values.fast);
  assert_int_equal(p.values.count, 7);
  assert_true(p.values.rate == 0.2);
  assert_null(p.values.out);
  assert_int_equal(p.values.kind, 1);
}

static void two_dashes_end_the_options(void **state) {
  (void)state;
  parsed p;
  CHECK_OK(PARSE(&p, 0, -1, "-", "--", "--fast", "--", "--help", "x=-1"));
  assert_false(p.values.fast);
  assert_false(p.helped);
  assert_int_equal(p.operand_count, 5);
  assert_string_equal(p.operands[0], "-");
  assert_string_equal(p.operands[1], "--fast");
  assert_string_equal(p.operands[2], "--");
}

static void negative_values_and_dashes_with_equals(void **state) {
  (void)state;
  parsed p;
  CHECK_OK(PARSE(&p, 0, 0, "--out=--odd", "--rate", "-0"));
  assert_string_equal(p.values.out, "--odd");
  CHECK_OK(PARSE(&p, 0, 0, "--out="));
  assert_string_equal(p.values.out, "");
  CHECK_OK(PARSE(&p, 0, 0, "--out=a=b"));
  assert_string_equal(p.values.out, "a=b");
}

static void errors_name_the_argument(void **state) {
  (void)state;
  parsed p;
  CHECK_FAILS(PL_E_USAGE, "unknown option '--cout=3'; the nearest is --count",
              PARSE(&p, 0, -1, "--cout=3"));
  CHECK_FAILS(PL_E_USAGE, "unknown option '-f'", PARSE(&p, 0, -1, "-f"));
  CHECK_FAILS(PL_E_USAGE, "unknown option '-out'; the nearest is --out",
              PARSE(&p, 0, -1, "-out", "x"));
  CHECK_FAILS(PL_E_USAGE, "unknown option '--coun'", PARSE(&p, 0, -1, "--coun", "3"));
  CHECK_FAILS(PL_E_USAGE, "--fast takes no value", PARSE(&p, 0, -1, "--fast=yes"));
  CHECK_FAILS(PL_E_USAGE, "--count wants a value", PARSE(&p, 0, -1, "--count"));
  CHECK_FAILS(PL_E_USAGE, "--out wants a value", PARSE(&p, 0, -1, "--out", "--fast"));
  CHECK_FAILS(PL_E_USAGE, "--count wants a whole number, not '1.5'",
              PARSE(&p, 0, -1, "--count", "1.5"));
  CHECK_FAILS(PL_E_USAGE, "--count wants a whole number, not '5x'", PARSE(&p, 0, -1, "--count=5x"));
  CHECK_FAILS(PL_E_USAGE, "--count wants a number from 1 to 100, not '101'",
              PARSE(&p, 0, -1, "--count", "101"));
  CHECK_FAILS(PL_E_USAGE, "--rate wants a number, not 'nan'", PARSE(&p, 0, -1, "--rate", "nan"));
  CHECK_FAILS(PL_E_USAGE, "--rate wants a number from 0 to 1, not '-0.5'",
              PARSE(&p, 0, -1, "--rate", "-0.5"));
  CHECK_FAILS(PL_E_USAGE, "--kind wants folder|cifar10|cifar100, not 'cifar'",
              PARSE(&p, 0, -1, "--kind", "cifar"));
  CHECK_FAILS(PL_E_USAGE, "usage: plenum data pack FROM [MORE ...]", PARSE(&p, 1, -1, "--fast"));
  CHECK_FAILS(PL_E_USAGE, "'b' is one argument too many", PARSE(&p, 1, 1, "a", "b"));
}

/* An excess operand must be refused before it is stored: the caller may have left no room. */
static void no_operand_is_stored_past_most(void **state) {
  (void)state;
  int count = 0;
  bool helped = false;
  char *argv[] = {"a"};
  const pl_option none[] = {{.name = NULL}};
  CHECK_FAILS(PL_E_USAGE, "too many",
              pl_options_parse(&command, none, 1, argv, 0, 0, NULL, &count, &helped));
}

/* Runs the parser with stdout going to a file, and reads what it printed. */
static void usage_of(char *text, size_t size) {
  FILE *file = tmpfile();
  assert_non_null(file);
  fflush(stdout);
  int kept = dup(STDOUT_FILENO);
  assert_true(kept >= 0 && dup2(fileno(file), STDOUT_FILENO) >= 0);
  parsed p;
  pl_status status = PARSE(&p, 1, 1, "--count", "50", "--nonsense", "--help");
  fflush(stdout);
  assert_true(dup2(kept, STDOUT_FILENO) >= 0);
  close(kept);
  CHECK_OK(status);
  assert_true(p.helped);
  rewind(file);
  text[fread(text, 1, size - 1, file)] = '\0';
  fclose(file);
}

static void help_shows_the_table(void **state) {
  (void)state;
  char text[2048];
  usage_of(text, sizeof text);
  static const char *const parts[] = {"usage: plenum data pack FROM [MORE ...] [options]",
                                      "Packs.",
                                      "--fast",
                                      "be fast\n",
                                      "--count N",
                                      "how many (default 7)",
                                      "--rate X",
                                      "(default 0.2)",
                                      "--out TEXT",
                                      "where to\n",
                                      "folder|cifar10|cifar100 (default cifar10)",
                                      "--help"};
  for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++) {
    if (!strstr(text, parts[k])) print_error("\"%s\" is not in:\n%s", parts[k], text);
    assert_non_null(strstr(text, parts[k]));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_reach_their_variables),
      cmocka_unit_test(defaults_stay),
      cmocka_unit_test(two_dashes_end_the_options),
      cmocka_unit_test(negative_values_and_dashes_with_equals),
      cmocka_unit_test(errors_name_the_argument),
      cmocka_unit_test(no_operand_is_stored_past_most),
      cmocka_unit_test(help_shows_the_table),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

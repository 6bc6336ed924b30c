#include <stdio.h>
#include <string.h>

#include "launch/command.h"
#include "runtime/config/text.h"

/* The length of the name in "--name" or "--name=value", without the dashes. */
static size_t name_length(const char *argument) { return strcspn(argument + 2, "="); }

static const pl_option *find_option(const pl_option *table, const char *argument) {
  size_t length = name_length(argument);
  for (const pl_option *option = table; option->name; option++) {
    if (strlen(option->name) == length && memcmp(option->name, argument + 2, length) == 0) {
      return option;
    }
  }
  return NULL;
}

static pl_status unknown_option(const pl_command *command, const pl_option *table,
                                const char *argument) {
  char name[PL_SHOWN_TEXT], shown[PL_SHOWN_TEXT];
  const char *bare = argument + strspn(argument, "-");
  snprintf(name, sizeof name, "%.*s", (int)strcspn(bare, "="), bare);
  const char *nearest = "help";
  int least = pl_edit_distance(name, nearest);
  for (const pl_option *option = table; option->name; option++) {
    int edits = pl_edit_distance(name, option->name);
    if (edits >= least) continue;
    least = edits;
    nearest = option->name;
  }
  return PL_FAIL(PL_E_USAGE, "%s: unknown option '%s'; the nearest is --%s", command->name,
                 pl_shown(argument, shown), nearest);
}

static pl_status refuse(const pl_command *command, const pl_option *option, const char *wanted,
                        const char *text) {
  char shown[PL_SHOWN_TEXT];
  return PL_FAIL(PL_E_USAGE, "%s: --%s wants %s, not '%s'", command->name, option->name, wanted,
                 pl_shown(text, shown));
}

static pl_status check_range(const pl_command *command, const pl_option *option, double number,
                             const char *text) {
  if (number >= option->low && number <= option->high) return PL_OK;
  char wanted[64];
  snprintf(wanted, sizeof wanted, "a number from %.15g to %.15g", option->low, option->high);
  return refuse(command, option, wanted, text);
}

static pl_status set_option(const pl_command *command, const pl_option *option, const char *text) {
  switch (option->kind) {
    case PL_OPTION_FLAG: *(bool *)option->value = true; return PL_OK;
    case PL_OPTION_TEXT: *(const char **)option->value = text; return PL_OK;
    case PL_OPTION_INT: {
      int64_t number = 0;
      if (!pl_parse_integer(text, &number)) return refuse(command, option, "a whole number", text);
      PL_TRY(check_range(command, option, (double)number, text));
      *(int64_t *)option->value = number;
      return PL_OK;
    }
    case PL_OPTION_REAL: {
      double number = 0;
      if (!pl_parse_real(text, &number)) return refuse(command, option, "a number", text);
      PL_TRY(check_range(command, option, number, text));
      *(double *)option->value = number;
      return PL_OK;
    }
    case PL_OPTION_CHOICE: {
      int index = pl_choice_find(option->choices, text);
      if (index < 0) return refuse(command, option, option->choices, text);
      *(int64_t *)option->value = index;
      return PL_OK;
    }
  }
  return PL_FAIL(PL_E_INTERNAL, "--%s: kind %d", option->name, (int)option->kind);
}

/* Sets the option at argv[*at], and moves *at on to its last argument. */
static pl_status take_option(const pl_command *command, const pl_option *table, int argc,
                             char **argv, int *at) {
  const char *argument = argv[*at];
  const pl_option *option = argument[1] == '-' ? find_option(table, argument) : NULL;
  if (!option) return unknown_option(command, table, argument);
  const char *equals = strchr(argument, '=');
  if (option->kind == PL_OPTION_FLAG) {
    if (equals) return PL_FAIL(PL_E_USAGE, "%s: --%s takes no value", command->name, option->name);
    return set_option(command, option, NULL);
  }
  if (equals) return set_option(command, option, equals + 1);
  /* What looks like the next option is no value; --name=--value says it is. */
  if (*at + 1 == argc || strncmp(argv[*at + 1], "--", 2) == 0) {
    return PL_FAIL(PL_E_USAGE, "%s: --%s wants a value", command->name, option->name);
  }
  *at += 1;
  return set_option(command, option, argv[*at]);
}

/* Prints what the option's variable holds before parsing, unless that is nothing. */
static void print_default(const pl_option *option) {
  char number[PL_REAL_TEXT];
  size_t length = 0;
  switch (option->kind) {
    case PL_OPTION_FLAG: break;
    case PL_OPTION_INT:
      printf(" (default %lld)", (long long)*(const int64_t *)option->value);
      break;
    case PL_OPTION_REAL:
      pl_format_real(*(const double *)option->value, number);
      printf(" (default %s)", number);
      break;
    case PL_OPTION_TEXT: {
      const char *text = *(const char *const *)option->value;
      if (text) printf(" (default %s)", text);
      break;
    }
    case PL_OPTION_CHOICE: {
      const char *word = pl_choice_word(option->choices, *(const int64_t *)option->value, &length);
      if (word) printf(" (default %.*s)", (int)length, word);
      break;
    }
  }
}

static void print_usage(const pl_command *command, const pl_option *table) {
  static const char *const placeholder[] = {[PL_OPTION_FLAG] = "",
                                            [PL_OPTION_INT] = " N",
                                            [PL_OPTION_REAL] = " X",
                                            [PL_OPTION_TEXT] = " TEXT",
                                            [PL_OPTION_CHOICE] = " WORD"};
  printf("usage: plenum %s %s%s[options]\n\n%s\n\noptions:\n", command->name, command->operands,
         *command->operands == '\0' ? "" : " ", command->summary);
  for (const pl_option *option = table; option->name; option++) {
    char left[64];
    snprintf(left, sizeof left, "--%s%s", option->name, placeholder[option->kind]);
    printf("  %-24s %s", left, option->help);
    if (option->kind == PL_OPTION_CHOICE) printf(": %s", option->choices);
    print_default(option);
    putchar('\n');
  }
  printf("  %-24s %s\n", "--help", "print this");
}

static bool asks_for_help(int argc, char **argv) {
  for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
    if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return true;
  }
  return false;
}

pl_status pl_options_parse(const pl_command *command, const pl_option *table, int argc, char **argv,
                           int least, int most, const char **operands, int *operand_count,
                           bool *helped) {
  *operand_count = 0;
  *helped = asks_for_help(argc, argv);
  if (*helped) {
    print_usage(command, table);
    return PL_OK;
  }
  bool options_over = false;
  for (int i = 0; i < argc; i++) {
    bool is_operand = options_over || argv[i][0] != '-' || argv[i][1] == '\0';
    if (is_operand && most >= 0 && *operand_count == most) {
      char shown[PL_SHOWN_TEXT];
      return PL_FAIL(PL_E_USAGE, "%s: '%s' is one argument too many; usage: plenum %s %s",
                     command->name, pl_shown(argv[i], shown), command->name, command->operands);
    }
    if (is_operand) {
      operands[(*operand_count)++] = argv[i];
    } else if (strcmp(argv[i], "--") == 0) {
      options_over = true;
    } else {
      PL_TRY(take_option(command, table, argc, argv, &i));
    }
  }
  if (*operand_count < least) {
    return PL_FAIL(PL_E_USAGE, "%s: something is missing; usage: plenum %s %s", command->name,
                   command->name, command->operands);
  }
  return PL_OK;
}

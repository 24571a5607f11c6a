/*
 * A network's text as written: what lex.c, parse.c and declare.c make of it and
 * expand.c turns into a graph. Private to them.
 */
#ifndef NET_SYNTAX_H
#define NET_SYNTAX_H

#include "net/arena.h"
#include "net/symbol.h"

#include <stddef.h>

/* Limits that text cannot pass. */
enum {
	LIMIT_FILE = 1 << 20,           /* bytes */
	LIMIT_NEST = 64,                /* brackets */
	LIMIT_IF = 1000,                /* if within if */
	LIMIT_OPERATORS = 500,          /* of one kind in a row */
	LIMIT_DEFS = 64,                /* expansions within one another */
	LIMIT_DEPTH = 1000,             /* parts of them */
	LIMIT_WORK = 1000000,           /* evaluations */
	LIMIT_NODES = 100000,
	LIMIT_NAME = 255,               /* bytes of a label, a parameter's name */
	LIMIT_LIST = 256,               /* a def's arguments, a table's columns */
	LIMIT_DIM = 1 << 20,
};
#define LIMIT_VALUE ((int64_t)1 << 32)  /* numbers in a value of one sample */
#define LIMIT_PARAMS ((int64_t)1 << 36) /* numbers in all parameters */

/* ---- words ---- */

enum token_kind {
	TOKEN_LABEL, TOKEN_PAIR, TOKEN_NUMBER, TOKEN_AT, TOKEN_KEY, TOKEN_FUNC,
	TOKEN_NAME, TOKEN_WORD, TOKEN_OP
};

struct token {
	enum token_kind kind;
	struct symbol *symbol;          /* "x" of "x:", "@x", "x=", "x(" */
	struct at at;
	int tight_left, tight_right;    /* no blank there */
};

/* A line of a declaration, without comment and blanks at its end. */
struct line {
	int number;
	const char *text;
	size_t length;
};

/* ---- grammar ---- */

enum ast_kind {
	AST_NUMBER, AST_PAIR, AST_NAME, AST_AT, AST_FUNC, AST_BINARY, AST_GROUP, AST_LIST,
	AST_CHAIN, AST_LABEL, AST_IF, AST_REPEAT, AST_AS, AST_APPLY
};

struct ast {
	enum ast_kind kind;
	struct at at;
	struct symbol *symbol;  /* NAME, AT, FUNC, BINARY's operator, LABEL, REPEAT's counter */
	struct ast *kid;        /* the first child; of APPLY the first argument */
	struct ast *next;       /* the next child of the parent */
	int kids;
	double number, second;  /* NUMBER, PAIR */
	int shared;             /* LABEL */
	struct ast *head;       /* APPLY */
	struct named *named;    /* APPLY's arguments by name; the names of AS */
};

/* An argument by name, or a name of "as". */
struct named {
	struct symbol *name;
	struct at at;
	struct ast *value;
	int seen, used;         /* AS: named, and looked up, in this pass */
	struct named *next_seen;
	struct named *next;
};

/* ---- declarations ---- */

struct env;

enum meaning_kind {
	MEANS_NONE, MEANS_NUMBER, MEANS_PAIR,
	MEANS_WORD,             /* a name given as data: looked up where it is used */
	MEANS_NOTHING,          /* () as data */
	MEANS_DEF, MEANS_OP,
	MEANS_CHAIN,            /* steps, with the names where they were written */
	MEANS_INIT,             /* a distribution */
};

/* What a name stands for, or an expression gives. */
struct meaning {
	enum meaning_kind kind;
	int op;                 /* OP; INIT: enum init_kind */
	double number, second;  /* NUMBER, PAIR; INIT: the spread */
	struct symbol *word;
	struct def *def;
	const struct ast *chain;
	struct env *env;
};

struct def_arg {
	struct symbol *name;
	struct ast *otherwise;  /* the default; NULL: must be given */
	struct def_arg *next;
};

struct def {
	struct symbol *name;
	struct def_arg *args;
	int arg_count;
	struct ast *body;
	int order;              /* a text sees only defs of a lower order */
	int numeric;            /* its body is arithmetic */
	int calls, known;       /* expansions: in this pass so far, in the pass before */
};

struct table {
	struct symbol **column;
	struct meaning *cell;   /* row after row */
	int columns, rows;
};

/* Words with a meaning of their own. */
struct words {
	struct symbol *half, *same, *all, *yes, *no, *channels, *fan_in, *fan_out, *classes;
	struct symbol *index, *count, *divisible, *and, *or, *underline;
};

struct net_source {
	const char *file;
	struct arena memory;
	struct symbols symbols;
	struct words word;
	struct symbol *owned, **owned_end;      /* declared names, in order */
	struct symbol *params, **params_end;    /* those of params and their columns */
	int defs;
	struct at input_at, net_at;
	struct ast *input[3];   /* NULL: none */
	struct ast *net;
	/* while a declaration is read */
	struct line *line;
	size_t lines, line_room;
	struct token *token;
	size_t tokens, token_room;
};

/* Reads text and settings; on -1 (reason) as well it needs a release. */
int net_source_read(struct net_source *, const char *file, const char *text, size_t bytes,
		const char *const *set, int sets);
void net_source_release(struct net_source *);

/* The reason "file:line:column: cause"; -1. */
int net_source_fail(struct net_source *, struct at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The symbol of a C string; NULL: out of memory. */
struct symbol *net_source_word(struct net_source *, const char *text);

/* What a cell or a setting says: 0 or -1. */
int cell_read(struct net_source *, const char *text, size_t n, struct meaning *);

/* Is this text arithmetic, worked out where it is written, or a chain, kept until it is
 * used? has_var tells whether a name is an argument there; NULL: no name is. */
int ast_numeric(const struct net_source *, const struct ast *, const struct env *, int order);

/* Gives a name its one owner; its value, or --set's. 0 or -1. */
int declare_own(struct net_source *, struct symbol *, enum owner, struct at);
int declare_value(struct net_source *, struct symbol *, const char *text, size_t n);
/* cells.c: a declaration of this kind in source.line. 0 or -1. */
int declare_param(struct net_source *);
int declare_table(struct net_source *);

/* ---- lex.c ---- */

/* Splits the lines of a declaration into tokens: 0 or -1. */
int lex_lines(struct net_source *);
int is_name_start(int c);
int is_name(int c);
int is_space(int c);
/* The first place from i on that is no space. */
size_t skip_space(const struct line *, size_t i);
/* A piece of the text for a message: unprintable bytes as \x00, cut where long. */
const char *show_text(char buffer[100], const char *text, size_t n);

/* ---- parse.c ---- */

struct parser {
	struct net_source *s;
	const struct token *token;
	size_t count, i;
	struct at end;
	int deep, ifs;
};

struct ast *parse_chain(struct parser *);
struct ast *parse_expr(struct parser *);
/* The token if it is of this kind (and text, where not NULL), then behind us; else NULL. */
const struct token *parse_take(struct parser *, enum token_kind, const char *text);
const struct token *parse_need(struct parser *, enum token_kind, const char *text,
			       const char *what);
/* "what before 'token'"; -1. */
int parse_fail(struct parser *, const char *what);
struct named *parse_named(struct parser *, struct symbol *, struct at);

#endif

/* The document as a page: objects are tables of two columns, lists of objects tables with a head.
 */
#include "daemon/base/bytes.h"
#include "daemon/jobs/certificate_text.h"

#include <stdio.h>
#include <string.h>

static const char HEAD[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<title>Certificate of an erasure</title>\n<style>\n"
    "body{font:14px/1.45 serif;max-width:52em;margin:2em auto;padding:0 1em;color:#111}\n"
    "h1{font-size:1.6em;border-bottom:2px solid #111}h2{font-size:1.1em;margin:1.4em 0 .3em}\n"
    "table{border-collapse:collapse;width:100%}td,th{border:1px solid #999;padding:.2em .5em;"
    "text-align:left;vertical-align:top;overflow-wrap:anywhere}th{background:#eee}\n"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:8px;color:#444}\n"
    "@media print{body{margin:0;max-width:none}th{background:none}h2,tr{break-after:avoid}}\n"
    "</style>\n</head>\n<body>\n<h1>Certificate of an erasure</h1>\n";

static void put(struct byte_writer *w, const char *text)
{
    put_bytes(w, text, strlen(text));
}

static void put_escaped(struct byte_writer *w, const char *text)
{
    for (; *text; text++) {
        if (*text == '<')
            put(w, "&lt;");
        else if (*text == '>')
            put(w, "&gt;");
        else if (*text == '&')
            put(w, "&amp;");
        else if (*text == '"')
            put(w, "&quot;");
        else
            put_bytes(w, text, 1);
    }
}

/* A key of the document as words. */
static void put_name(struct byte_writer *w, const char *key)
{
    for (; *key; key++)
        put_bytes(w, *key == '_' ? " " : key, 1);
}

static void put_scalar(struct byte_writer *w, const json_t *v)
{
    char text[40];
    if (json_is_string(v)) {
        put_escaped(w, json_string_value(v));
    } else if (json_is_integer(v)) {
        (void)snprintf(text, sizeof text, "%lld", (long long)json_integer_value(v));
        put(w, text);
    } else if (json_is_real(v)) {
        (void)snprintf(text, sizeof text, "%.4f", json_real_value(v));
        put(w, text);
    } else if (json_is_boolean(v)) {
        put(w, json_is_true(v) ? "yes" : "no");
    } else {
        put(w, "-");
    }
}

/* A value in a cell: lists of texts are joined. */
static void put_cell(struct byte_writer *w, const json_t *v)
{
    size_t i;
    json_t *item;
    if (!json_is_array(v)) {
        put_scalar(w, v);
        return;
    }
    json_array_foreach(v, i, item)
    {
        if (i)
            put(w, "; ");
        put_scalar(w, item);
    }
}

static void put_pairs(struct byte_writer *w, json_t *object)
{
    const char *key;
    json_t *v;
    put(w, "<table>\n");
    json_object_foreach(object, key, v)
    {
        put(w, "<tr><th>");
        put_name(w, key);
        put(w, "</th><td>");
        put_cell(w, v);
        put(w, "</td></tr>\n");
    }
    put(w, "</table>\n");
}

static void put_rows(struct byte_writer *w, const json_t *list)
{
    size_t i;
    const char *key;
    json_t *row, *v;
    put(w, "<table>\n<tr>");
    json_object_foreach(json_array_get(list, 0), key, v)
    {
        put(w, "<th>");
        put_name(w, key);
        put(w, "</th>");
    }
    put(w, "</tr>\n");
    json_array_foreach(list, i, row)
    {
        put(w, "<tr>");
        json_object_foreach(row, key, v)
        {
            put(w, "<td>");
            put_cell(w, v);
            put(w, "</td>");
        }
        put(w, "</tr>\n");
    }
    put(w, "</table>\n");
}

static void put_section(struct byte_writer *w, const char *key, json_t *v)
{
    put(w, "<h2>");
    put_name(w, key);
    put(w, "</h2>\n");
    if (json_is_object(v)) {
        put_pairs(w, v);
    } else if (json_is_object(json_array_get(v, 0))) {
        put_rows(w, v);
    } else {
        put(w, "<p>");
        put_cell(w, v);
        put(w, "</p>\n");
    }
}

void certificate_page_put(struct byte_writer *w, const json_t *document)
{
    const char *key;
    json_t *v;
    put(w, HEAD);
    json_object_foreach((json_t *)(uintptr_t)document, key, v)
    {
        if (strcmp(key, "proof") == 0) {
            put(w, "<h2>proof</h2>\n<pre>");
            put_scalar(w, v);
            put(w, "</pre>\n");
        } else {
            put_section(w, key, v);
        }
    }
    put(w, "</body>\n</html>\n");
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/scaplab/scaplab/internal/hint"
	"github.com/scaplab/scaplab/sinsp/rule"
)

// falcoSettings are values of falco's settings that stand together for an output.
type falcoSettings struct {
	stdout, file, program, http, syslog, web bool
	path, command, url, host, port           string
}

// settings are falco's settings by key, as far as they have a meaning here.
func (o *rulesOptions) known(f *falcoSettings) map[string]func(string) error {
	truth := func(set func(bool)) func(string) error {
		return func(v string) error {
			b, err := strconv.ParseBool(v)
			if err != nil {
				return fmt.Errorf("%q (true or false)", v)
			}
			set(b)
			return nil
		}
	}
	flag := func(to *bool) func(string) error { return truth(func(b bool) { *to = b }) }
	not := func(to *bool) func(string) error { return truth(func(b bool) { *to = !b }) }
	text := func(to *string) func(string) error {
		return func(v string) error {
			*to = v
			return nil
		}
	}
	step := func(enable, tag bool) func(string) error { return (&stepFlag{o, enable, tag}).Set }
	return map[string]func(string) error{
		"json_output":                         flag(&o.format.JSON),
		"json_include_message_property":       flag(&o.format.WithMessage),
		"json_include_output_property":        not(&o.format.NoOutput),
		"json_include_output_fields_property": not(&o.format.NoOutputFields),
		"json_include_tags_property":          not(&o.format.NoTags),
		"time_format_iso_8601":                flag(&o.format.ISO8601),
		"priority":                            text(&o.priority),
		"rule_matching": func(v string) error {
			if v != "first" && v != "all" {
				return fmt.Errorf("%q (first or all)", v)
			}
			o.all = v == "all"
			return nil
		},
		"rules[].enable.rule":  step(true, false),
		"rules[].disable.rule": step(false, false),
		"rules[].enable.tag":   step(true, true),
		"rules[].disable.tag":  step(false, true),
		"append_output[].extra_output": func(v string) error {
			o.add = append(o.add, rule.Append{Output: v})
			return nil
		},
		"stdout_output.enabled":       flag(&f.stdout),
		"file_output.enabled":         flag(&f.file),
		"file_output.filename":        text(&f.path),
		"program_output.enabled":      flag(&f.program),
		"program_output.program":      text(&f.command),
		"http_output.enabled":         flag(&f.http),
		"http_output.url":             text(&f.url),
		"http_output.insecure":        flag(&o.http.Insecure),
		"http_output.ca_cert":         text(&o.http.CA),
		"http_output.client_cert":     text(&o.http.Cert),
		"http_output.client_key":      text(&o.http.Key),
		"http_output.user_agent":      text(&o.http.UserAgent),
		"syslog_output.enabled":       flag(&f.syslog),
		"webserver.enabled":           flag(&f.web),
		"webserver.listen_address":    text(&f.host),
		"webserver.listen_port":       text(&f.port),
		"outputs_queue.capacity":      wholeNumber(&o.queue),
		"engine.modern_ebpf.buf_size": wholeNumber(&o.source.ringSize),
	}
}

func wholeNumber(to *int) func(string) error {
	return func(v string) error {
		n, err := strconv.Atoi(v)
		if err != nil {
			return fmt.Errorf("%q is not a number", v)
		}
		*to = n
		return nil
	}
}

// set takes over the settings.
func (o *rulesOptions) set() error {
	f := falcoSettings{stdout: o.outputs == nil, host: "127.0.0.1", port: "8765"}
	known := o.known(&f)
	for _, s := range o.settings {
		key, value, ok := strings.Cut(s, "=")
		set := known[key]
		switch {
		case !ok:
			return fmt.Errorf("-o %s: no value (such as json_output=true)", s)
		case set == nil:
			return fmt.Errorf("-o %s: unknown setting%s; --help-options lists them", key, hint.DidYouMean(key, slices.Sorted(maps.Keys(known))))
		}
		if err := set(value); err != nil {
			return fmt.Errorf("-o %s: %w", key, err)
		}
	}
	for _, out := range []struct {
		on            bool
		key, text, of string
	}{
		{f.stdout, "", "stdout", "stdout"}, {f.file, "file_output.filename", "file:" + f.path, f.path},
		{f.program, "program_output.program", "program:" + f.command, f.command}, {f.http, "http_output.url", f.url, f.url},
		{f.syslog, "", "syslog", "syslog"},
	} {
		if out.on && out.of == "" {
			return fmt.Errorf("-o: the output is enabled, %s is missing", out.key)
		}
		if out.on {
			o.outputs = append(o.outputs, out.text)
		}
	}
	if f.web && o.metrics == "" {
		o.metrics = net.JoinHostPort(f.host, f.port)
	}
	return nil
}

// helpOptions prints the settings.
func helpOptions(out io.Writer) error {
	var o rulesOptions
	for _, key := range slices.Sorted(maps.Keys(o.known(&falcoSettings{}))) {
		if _, err := fmt.Fprintln(out, key); err != nil {
			return err
		}
	}
	return nil
}

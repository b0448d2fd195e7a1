// Package config reads TOML files strictly: an unknown key, a wrong type or a
// value out of range is one line that names the file, the line, the key and what
// is allowed. It knows the form of files; what the keys mean belongs to the
// packages that own them.
package config

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"webjob.dev/webjob"
)

// MaxBytes bounds a configuration file.
const MaxBytes = 1 << 20

// Checker is a configuration that can judge its own values. The error is best a
// [*KeyError].
type Checker interface{ Check() error }

// KeyError says what is wrong with the value of one key.
type KeyError struct {
	Key string // dotted, such as "limits.run"
	Err error
}

func (e *KeyError) Error() string { return e.Key + ": " + e.Err.Error() }

// Unwrap returns what is wrong with the value.
func (e *KeyError) Unwrap() error { return e.Err }

// Read decodes the file into v, which already holds the defaults. A file that
// does not exist is NotFound; anything else that is wrong is Invalid.
func Read(file string, v Checker) error {
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return webjob.Errorf(webjob.NotFound, "%s does not exist", file)
	}
	if err != nil {
		return webjob.Errorf(webjob.Invalid, "%w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return webjob.Errorf(webjob.Invalid, "%w", err)
	}
	return Decode(file, data, v)
}

// Decode is Read for bytes; name stands for the file in errors.
func Decode(name string, data []byte, v Checker) error {
	if len(data) > MaxBytes {
		return webjob.Errorf(webjob.TooLarge, "%s has more than %d bytes", name, MaxBytes)
	}
	decoder := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return explain(name, err, v)
	}
	err := v.Check()
	var keyError *KeyError
	if errors.As(err, &keyError) {
		return webjob.Errorf(webjob.Invalid, "%s:%d: %w", name, lineOf(data, keyError.Key), err)
	}
	if err != nil {
		return webjob.Errorf(webjob.Invalid, "%s: %w", name, err)
	}
	return nil
}

func explain(name string, err error, v any) error {
	var missing *toml.StrictMissingError
	if errors.As(err, &missing) && len(missing.Errors) > 0 {
		first := missing.Errors[0]
		line, _ := first.Position()
		key := first.Key()
		return webjob.Errorf(webjob.Invalid, "%s:%d: %s: unknown key; allowed here: %s",
			name, line, strings.Join(key, "."), strings.Join(allowedKeys(reflect.TypeOf(v), key[:len(key)-1]), ", "))
	}
	var decode *toml.DecodeError
	if errors.As(err, &decode) {
		line, _ := decode.Position()
		what := strings.TrimPrefix(decode.Error(), "toml: ")
		if key := decode.Key(); len(key) > 0 {
			what = strings.Join(key, ".") + ": " + what
		}
		return webjob.Errorf(webjob.Invalid, "%s:%d: %s", name, line, oneLine(what))
	}
	return webjob.Errorf(webjob.Invalid, "%s: %s", name, oneLine(err.Error()))
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// allowedKeys returns the keys of the table at path, or of the nearest table
// above it that exists.
func allowedKeys(t reflect.Type, path []string) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	var keys []string
	for i := range t.NumField() {
		key, _, _ := strings.Cut(t.Field(i).Tag.Get("toml"), ",")
		if key == "" || key == "-" {
			continue
		}
		if len(path) > 0 && key == path[0] && !isScalar(t.Field(i).Type) {
			return allowedKeys(t.Field(i).Type, path[1:])
		}
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func isScalar(t reflect.Type) bool {
	_, textual := reflect.New(t).Interface().(encoding.TextUnmarshaler)
	return textual || t.Kind() != reflect.Struct && t.Kind() != reflect.Slice && t.Kind() != reflect.Pointer
}

// LineOf returns the line of a dotted key in a file that was decoded.
func LineOf(data []byte, dotted string) int { return lineOf(data, dotted) }

// lineOf returns the line of a dotted key, the line of its table when the key is
// not there, and 1 when neither is.
func lineOf(data []byte, dotted string) int {
	var parser unstable.Parser
	parser.Reset(data)
	best, bestLength := 1, 0
	var table []string
	for parser.NextExpression() {
		expression := parser.Expression()
		var path []string
		line := 0
		for key := expression.Key(); key.Next(); {
			path = append(path, string(key.Node().Data))
			line = parser.Shape(key.Node().Raw).Start.Line
		}
		switch expression.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = path
		case unstable.KeyValue:
			path = append(slices.Clone(table), path...)
		}
		name := strings.Join(path, ".")
		if name == dotted {
			return line
		}
		if strings.HasPrefix(dotted, name+".") && len(name) > bestLength {
			best, bestLength = line, len(name)
		}
	}
	return best
}

// Keyf returns a [*KeyError].
func Keyf(key, format string, args ...any) error {
	return &KeyError{Key: key, Err: fmt.Errorf(format, args...)}
}

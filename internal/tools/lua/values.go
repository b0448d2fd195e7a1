package lua

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

func (*call) jsonDecode(state *lua.LState) int {
	var v any
	decoder := json.NewDecoder(strings.NewReader(state.CheckString(1)))
	if err := decoder.Decode(&v); err != nil {
		return failed(state, err)
	}
	state.Push(toLua(state, v))
	return 1
}

func toLua(state *lua.LState, v any) lua.LValue {
	switch v := v.(type) {
	case string:
		return lua.LString(v)
	case float64:
		return lua.LNumber(v)
	case bool:
		return lua.LBool(v)
	case []any:
		t := state.NewTable()
		for _, item := range v {
			t.Append(toLua(state, item))
		}
		return t
	case map[string]any:
		t := state.NewTable()
		for name, item := range v {
			t.RawSetString(name, toLua(state, item))
		}
		return t
	}
	return lua.LNil
}

func (*call) jsonEncode(state *lua.LState) int {
	v, err := fromLua(state.Get(1), 0)
	if err != nil {
		return failed(state, err)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return failed(state, err)
	}
	state.Push(lua.LString(text))
	return 1
}

const maxNesting = 200

// fromLua makes a list of a table whose keys are 1 to its length, else a map.
func fromLua(v lua.LValue, depth int) (any, error) {
	if depth > maxNesting {
		return nil, errors.New("tables are nested too deep for JSON; does one hold itself?")
	}
	switch v := v.(type) {
	case lua.LString:
		return string(v), nil
	case lua.LNumber:
		if v == lua.LNumber(int64(v)) {
			return int64(v), nil
		}
		return float64(v), nil
	case lua.LBool:
		return bool(v), nil
	case *lua.LNilType:
		return nil, nil
	case *lua.LTable:
		n := v.Len()
		list, object, others := make([]any, 0, n), map[string]any{}, 0
		var err error
		v.ForEach(func(key, item lua.LValue) {
			converted, itemErr := fromLua(item, depth+1)
			if err == nil {
				err = itemErr
			}
			if k, ok := key.(lua.LNumber); ok && k >= 1 && k <= lua.LNumber(n) && k == lua.LNumber(int(k)) {
				list = append(list, converted)
			} else {
				others++
			}
			object[key.String()] = converted
		})
		if n > 0 && others == 0 {
			return list, err
		}
		return object, err
	}
	return nil, errors.New("a " + v.Type().String() + " has no form in JSON")
}

func (*call) csvDecode(state *lua.LState) int {
	reader := csv.NewReader(strings.NewReader(state.CheckString(1)))
	reader.FieldsPerRecord = -1
	if separator := state.OptString(2, ","); len(separator) == 1 {
		reader.Comma = rune(separator[0])
	}
	rows, err := reader.ReadAll()
	if err != nil {
		return failed(state, err)
	}
	table := state.NewTable()
	for _, row := range rows {
		line := state.NewTable()
		for _, cell := range row {
			line.Append(lua.LString(cell))
		}
		table.Append(line)
	}
	state.Push(table)
	return 1
}

func (*call) csvEncode(state *lua.LState) int {
	var b strings.Builder
	writer := csv.NewWriter(&b)
	var err error
	state.CheckTable(1).ForEach(func(_, row lua.LValue) {
		var cells []string
		if line, ok := row.(*lua.LTable); ok {
			for i := 1; i <= line.Len(); i++ {
				cells = append(cells, lua.LVAsString(line.RawGetInt(i)))
			}
		}
		err = errors.Join(err, writer.Write(cells))
	})
	writer.Flush()
	if err = errors.Join(err, writer.Error()); err != nil {
		return failed(state, err)
	}
	state.Push(lua.LString(b.String()))
	return 1
}

package file

import "reflect"

// Diff returns the paths of the settings in which two configurations differ, in the order of the file.
func Diff(a, b *Config) (paths []string) {
	var values []any
	walk(reflect.ValueOf(a).Elem(), "", func(_ string, v reflect.Value) { values = append(values, v.Interface()) })
	walk(reflect.ValueOf(b).Elem(), "", func(path string, v reflect.Value) {
		none := v.Kind() == reflect.Slice && v.Len() == 0 && reflect.ValueOf(values[0]).Len() == 0 // an empty list, whether it was written or not
		if !none && !reflect.DeepEqual(values[0], v.Interface()) {
			paths = append(paths, path)
		}
		values = values[1:]
	})
	return paths
}

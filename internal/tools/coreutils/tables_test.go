package coreutils_test

// own are tools that hosts do not have, or print otherwise by design; they have tests of
// their own.
var own = map[string]string{
	"find-known": "", "find-numbers": "", "snapshot": "", "snapshot-compare": "", "sockets": "as netstat -anp", "ps": "lists all, in columns of its own", "df": "the same",
	"gzcat": "is zcat", "gzip": "compared in gzip_test.go", "gunzip": "there, too", "zcat": "there, too", "mktemp": "names are random",
}

// alike are lines that do the same with the host's programs. Expressions in them mean the
// same to RE2 and to POSIX.
var alike = map[string][]string{
	"base64":   {"base64 words", "base64 empty", "base64 long", "-d empty", "-w 10 words", "-w 0 words", "-w 0 empty", "-w 76 table", "nothing", "a", "base64", "-d words", "-w x words"},
	"basename": {"/a/b.c .c", "/a/b/", "/", "//", "''", ".c .c", "b .c", "a", "a/ b", "/ /", "basename -- -x"},
	"cat":      {"words open", "cat open words", "-u words", "nothing words nothing", "words - open", "empty", "zeros binary", "a", "long"},
	"chmod": {
		"600 words", "0755 words a", "4755 words", "1777 a", "u+x words", "go-r words table", "a=r words", "u=rwx,go=rx words", "g=u words", "o+w,o-r words", "-R go-rx a", "-R u+X,go-X a", "+x words",
		"-x words", "=r words", "u+s words", "g+s a", "+t a", "--reference words a/one", "600 nothing", "u+x nothing words", "-- -x words", "755 folder", "a+X words a", "-R 700 folder", "u+rw-x words",
	},
	"cp": {
		"words new", "words table a", "words a/one", "-r a new", "-R a new", "-r a/b folder", "a new", "nothing new", "nothing words a", "words words", "words table nothing", "-f words table", "-v words new", "-v words table a",
		"-P a/link new", "a/link new", "-r a/link new", "-r folder new", "words a/", "words nothing/", "dangling new", "-i words new", "zeros new", "words table", "a/b a", "-r words a/b", "-r a words", "words dangling2",
	},
	"cut": {
		"-d: -f1,7 table", "-d: -f3- table", "-d: -f-2 table", "-d: -f2-3,1 table", "-c2-4 words", "-c 1 words open", "-c '1,3 5' words", "-s -d: -f1 table", "-f1 columns", "-f2 words", "-d: -f9 table", "-f1 empty",
		"-f1 open", "-d '' -f2 zeros", "-f1 nothing words", "cut -f1", "-d: -f1 - table", "-f 1-x table", "-f 0 table", "-f 3-1 table", "-f - table", "-d : -c 1 table", "words", "-c 5- long",
	},
	"date": {
		"-u -d @0 '+%Y-%m-%d %H:%M:%S %j %a %b %s %% %Z %F %T'", "-d @1700000000 '+%A %B %e %I %p %P %y %D %R %C %u %w %k %l %V %G %h %x %X %r'", "-d @-86400 +%F", "-u -d @1700000000", "-d @1700000000 +%s.%N", "+", "'+%n%t|'",
		"-d 2024-02-29T12:30:00Z +%s", "-d @1704067200 '+%k %l %I %u %w %V %G'", "-d @1704153600 +%e", "-d never", "'+100%'",
	},
	"dirname": {"/a/b/c", "a", "/a", "/", "a/b/", "''", "a//b", "//a", "a/../b", "./a", "a b/c", "///a///"},
	"env":     {"env cat words", "cat nothing", "env tail -n 1 words", "env nothing-of-this-name", "env cat"},
	"find": {
		"words", "a/one -name one", "a/one a/b/two", "nothing", "words -name o -o -name words", "words -type f -print -print", "words ! -name x", "words -not -name words", "a/one -a -name 'o*' -and -size 1", "words -name '[!a]*'",
		"words -name '[a-z]ords'", "words -name '[[:alpha:]]ords'", "words -iname WORDS", "words -name '\\w*'", "words -name '['", "words -path '*or*'", "a/b/two -path 'a*two'", "'a/b/[x]*?y' -name '\\[x\\]\\*\\?y'", "words -name '*.c' -o -print",
		"a/.three -name '*'", "words -type d", "dangling -type l", "folder/ -maxdepth 0 -type d", "folder -type d", "words -perm 644", "words -perm -600", "words -perm /111", "words -perm 0644", "words -newer a/one", "words -newer nothing",
		"words -size 1", "words -size +40c", "words -size -1k", "words -size 35c", "words -size 1k", "empty -size 0", "long -size +700", "words -mtime +1", "words -mtime -1", "words -mmin +5", "words -mmin -5", "words -exec cat {} ';'",
		"words table -exec wc -l {} +", "words -exec false ';' -o -name words", "words -exec cat nothing ';'", "words '(' -name x -o -name words ')' -print0", "words '(' -name x", "words -name", "words ')'", "words -foo", "words -name a -o", "words -a", "words -type z",
		"a -mindepth 3", "a -maxdepth 0", "a/b -mindepth 1 -name two", "a//b/two", "words -xdev", "words -mount -name words", "words -maxdepth x", "words -size x", "words -exec cat", "words -exec", "words -perm 9",
	},
	"grep": {
		"p words", "-v p words", "-c p words", "-n fig words", "-i PEAR words", "-l p words table", "-x fig words", "-o p words", "-on p words table", "-E 'app|fig' words", "-F . words", "-F 'x:0' table", "-q fig words", "-q nothing words",
		"-e pear -e fig words", "-h p words table", "-H fig words", "-w pear words", "-w p words", "nothing words", "-rc 1 a/one", "-r longer a", "-r 1 folder", "-r 1 a/one", "-r 1 a/one words", "-c p words table", "-lc p words table", "-vc p words", "-on 'a*' words",
		"'' words", "'' empty", "-e=foo words", "-e '' -c lines", "-n '' lines", "p nothing", "p nothing words", "-q p words nothing", "-q p nothing words", "p a", "-x 'a' words", "-xv fig words", "-oi PEAR words", "-ov p words", "-ci P words", "input", "-n input -", "-H input",
		"-c x - words", "-a b zeros", "-ac . zeros", "-E '[' words", "p", "-- -x words", "-F -e a -e p -o words", "-w -o no open table", "-wo x table", "-hn p words table", "-x -e fig -e pear words", "-wx fig words", "-woE 'root|Root' table", "-l input", "-E 'x{0' open",
	},
	"gunzip":    {"nothing.gz", "words", "gunzip", "-k words", "-c words", "-f words", "-1 words"},
	"gzip":      {"nothing", "-d words", "-d nothing.gz", "a", "-k a", "-z words", "-dc words", "-dc empty", "-dc"},
	"head":      {"words", "-n 2 words", "-3 words", "-c 5 words", "-n1 words table", "open", "-n 0 words", "-c 0 words", "empty", "lines", "-n 1 open empty words", "nothing", "-n 1 nothing words", "-n 1 - words", "-n +2 words", "-c 100 open", "-n x words", "-n 1 -c 2 words", "-c 2 -n 1 words", "-n 1 a", "-c 3 long", "-n 1 long"},
	"hostname":  {"hostname"},
	"id":        {"-u", "-un", "-g", "-gn", "-n", "-u -g"},
	"ln":        {"-s words l", "words h", "nothing h", "-s nothing l", "words table", "-f words table", "-sf words table", "-s words a", "words a", "-f words words", "-f nothing words", "-s words words", "-sf a table", "-sf words dangling", "words h"},
	"ls":        {"ls", "a", "-a a", "-d a", "-1 words table", "nothing", "nothing words", "-r", "-S", "-t a", "-rt a", "-R a", "-R", "a words", "a folder", "folder", "-d folder", "-d", "-aR a", "a/b a", "words words", "dangling", "-Sr a/b", "a/"},
	"md5sum":    {"words table", "empty", "nothing words", "md5sum", "-c words", "-", "a", "--quiet words"},
	"mkdir":     {"x", "x y", "x/y", "-p x/y/z", "a", "-p a", "words", "-p words", "-p words/x", "-m 700 x", "-m u=rwx,go= x", "-v x", "a x", "-p x x", "-pm 711 x/y", "-p ''", "''", "-m 9 x", "-pv a/new"},
	"mv":        {"words new", "words a", "words table a", "words table", "nothing new", "nothing words a", "words words", "a new", "a words", "words nothing/x", "-n words table", "-n words new", "-u words table", "-u table words", "-u words new", "-f words table", "words table nothing", "a a/b", "a/link new", "dangling new"},
	"readlink":  {"a/link", "words", "-f a/link", "dangling folder", "words dangling", "-f nothing/x", "nothing"},
	"rm":        {"words", "words table", "nothing", "nothing words", "-f nothing", "-f nothing words", "a", "-r a", "-R a", "-rf a nothing", "-f", "-v words", "-i words", "folder", "-r folder", "a/", "-rf .", "-f a", "-r a/.", "-r ''", "dangling", "-f words/x"},
	"sha1sum":   {"words", "sha1sum", "-c table", "--quiet -c nothing"},
	"sha256sum": {"words table", "-c nothing", "a words", "-c empty"},
	"sha512sum": {"words empty", "-c lines", "--quiet -c columns"},
	"seq":       {"3", "2 4", "5 -2 1", "0", "1 0", "-2 2", "-- -1 1", "1 2 6", "9223372036854775806 9223372036854775807", "-9223372036854775807 -1 -9223372036854775808", "3 -1", "1 0 3", "1 1 x"},
	"sleep":     {"0", "0.01", "0.001s 0.001s", "0m 0h 0d", "x", "1x"},
	"stat":      {"-c '%n %s %a %A %Y %F' words a a/link empty dangling", "-c %h:%u:%g:%U:%G words", "-L -c '%F %n' a/link folder", "-c '%X %Y %%' words", "-c %n nothing words", "-c 100% words", "-c '%y %x' words", "-Lc %n dangling"},
	"tail":      {"-n 2 words", "-c 4 words", "-n +5 words", "-1 open", "-c +3 open", "words", "-n 0 words", "-c 0 words", "-n +0 words", "-n +1 words", "-c +1 open", "-n 100 words", "-n -2 words", "-n 1 words table", "empty", "nothing", "-n 1 nothing words", "-n 1 long", "-c 3 long", "-n 3 lines", "-n x words", "-n +100 words", "-n 1 a", "-n +2 long", "-c 50000 long"},
	"tee":       {"new", "-a words", "words", "new other", "a", "nothing/x new", "tee"},
	"touch":     {"new", "-c new", "words new", "a", "nothing/x new", "-a words", "-m words", "-d 2024-01-02T03:04:05Z words", "-d @1700000000 new", "-d never words", "-am new"},
	"uname":     {"uname", "-s", "-r", "-n", "-m", "-snr", "-mr"},
	"uniq":      {"words", "-c words", "-d words", "-u words", "lines", "-c lines", "empty", "open", "-cd lines", "-cu lines", "-du lines", "nothing", "uniq", "zeros", "-"},
	"wc":        {"words", "-l words", "-w table", "-c open", "-lc", "-l", "-lw words", "-lc words table", "words table", "words -", "-c words -", "empty", "nothing words", "-l nothing words", "-w lines", "long", "-lc zeros binary", "-lw -"},
	"zcat":      {"words", "nothing", "empty"},
	"sed": {
		"s/p/X/ words", "s/p/X/g words", "-n 2p words", "2d words", "-n '$p' words", "/apple/d words", "-n 2,4p words", "-n '2,$p' words", "-e s/a/b/ -e s/b/c/ words", "3q words", "-n '/fig/,$p' words", "'s|/|\\||g' table", "'2!d' words",
		"-n s/fig/x/p words", "-E 's/(a)(p)/\\2\\1/;s/e/E/' words", "-r 's/(a)(p)/\\2\\1/' words", "s/p/X/2 words", "s/p/X/2g words", "'s/[0-9]/<&>/2' numbers", "s/0/X/12 numbers", "'s/a*/x/g' words", "'s/b*/x/2' words", "'s/p/[\\&]/' words", "'s/p/a\\nb/' words",
		"'s/p/a\\tb/' words", "p open", "-n p open words", "p words open", "d words", "'$d' open", "'$!d' words", "-n '/apple/,/fig/p' words", "-n '/fig/,2p' words", "-n '2,/p/p' words", "-n '2,1p' words", "'2,3!d' words", "s/P/x/I words", "s/P/x/i words",
		"'/apple/s//X/' words", "s/// words", "p empty", "p nothing words", "s/a/b words", "'s/[/b/' words", "s/a/b/x words", "'s/a/\\1/' words", "s/a/b/0 words", "0p words", "2,p words", "2 words", "sed", "'s/a/b/ ; s/b/c/' words", "'1 d' words",
		"p -", "-n '$p' words open", "q words", "'/x/q' words", "'2q;d' words", "1,2q words", "'s/a/b/p;s/b/c/p' words", "'s,a,b,' words", "'s/\\//x/g' table", "'s/$/!/' open", "'s/^/> /' lines", "'1d;2,3d' words", "'2d;1,2p' words", "'3d;2,3s/a/X/' words",
	},
	"sort": {
		"words", "-r words", "-u words", "-n words", "-t: -k3 -n table", "-k2 columns", "-k2,2 columns", "-k2n columns", "-k2,2n columns", "-k2nr columns", "-nk2 columns", "-k3 -k1 columns", "-k1,1 -k2,2nr columns", "-k2b columns", "-k2.2,2.3 columns", "-k 2b,2b columns", "-t: -k5 table",
		"-t: -k1.2,1.3 table", "-f words", "-fu words", "-ru words", "-rn numbers", "-n numbers", "-nu numbers", "-k1f columns", "-uk1,1f columns", "open words", "empty", "zeros", "binary", "lines", "nothing", "nothing words", "a", "sort", "- words", "-k 0 words", "-k x words", "-k 1,x words",
		"-k 1.0 words", "-t '' words", "-k 9 words", "-k2,1 columns", "-rk2 columns", "-t: -k2 -k1r table", "-u -k2,2 columns", "-k 1.2 columns", "-k2,2.1 columns", "-t x -k 2 words",
	},
	"tar": {
		"-cf /dev/null nothing", "-cf /dev/null a nothing", "-xf nothing", "-tf words", "-tf empty", "-x", "-c", "tar", "-c -x words", "-xf empty", "-cf nothing/x.tar words", "-tzf words", "-cvf /dev/null words", "-cf /dev/null -C a one", "cf /dev/null words", "tfC empty a", "-xf words -C nothing",
	},
	"tr": {
		"a-z A-Z", "-d a", "-s n", "a b", "-cd 'a-z\\n'", "'[:lower:]' x", "'[:lower:]' '[:upper:]'", "-d '[:space:]'", "-s '[:alpha:]'", "-s n m", "-s in n", "-ds n p", "-c a-z '\\n'", "-cs a-z x", "abc x", "'\\n' ' '", "'\\151' X", "'\\\\' /", "a-", "'i\\-n' xyz", "in- XY", "-- -i xy",
		"z-a x", "-d", "-d a b", "a", "a ''", "-s a b", "-d '[:foo:]'", "-c 0-9 XY", "aa xy", "-dc '[:print:]'", "'[:punct:]' x", "'[:xdigit:]' x", "-d '\\000-\\037'", "'\\t\\v\\f\\r\\a\\b' x", "-s '[:upper:]' '[:lower:]'", "-cd '[:alnum:]'", "'[:blank:][:cntrl:]' x", "a-c-e x", "-x a b",
	},
	"xargs": {
		"echo", "xargs", "-n 1 echo", "-n 2", "-I% echo '<%>' '%%'", "cat", "-0 echo", "-r echo", "false", "nothing-of-this-name", "-n 1 sh -c 'exit 255'", "-n 1 sh -c 'exit 3'", "-n 0 echo", "-n x", "-n 1 cat", "-I % cat %", "-r -n 3 echo -n", "-I {} echo a{}b",
	},
}

// differences are lines that do not do the same, with words of docs/guide.md that say why.
var differences = map[string]string{
	"grep -o 'a|p' words":   "Expressions are RE2's",
	"grep -oE 'a|ap' words": "the first alternative that matches counts, not the longest",
	"grep c zeros":          "`grep` takes every file as text",
	"sed s/a+/x/ words":     "`+` and brackets need no backslash",
	"sed 2q open":           "`sed q` leaves a last line without its end as it is",
	"sed y/a/b/ words":      "`sed` knows `s`, `d`, `p` and `q`",
	"ls -l words":           "Times of `ls -l` and `stat` are UTC's, those of `ls -l` to the second",
	"ls -l a":               "`ls -l` says no total",
	"stat words":            "`stat` without `-c` prints a line of its own",
	"cut -c 1 binary":       "A character is one of UTF-8, for `cut -c` and `tr`",
	"tr -d '\\200-\\377'":   "a byte of a character is no character",
	"uname -a":              "`uname -a` prints what `-snrm` does",
	"env":                   "`env` sorts",
	"date -d tomorrow":      "`-d` of `date` and `touch` takes `@SECONDS` and RFC 3339",
	"find words -regex x":   "`find` knows `-name`, `-iname`",
	"wc zeros":              "A word of `wc` is what is not white space",
	"wc a":                  "`wc` counts nothing of a folder",
	"sleep 0.001x":          "A wrong use ends with 2",
}

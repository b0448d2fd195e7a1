package runner

// noFollow is nothing on Windows: making a link takes a right that only
// administrators have, and the folder is private.
const noFollow = 0

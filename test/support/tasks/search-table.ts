/** A prompt that is stored, the searches that find it, and those that do not. */
export interface SearchCase {
  what: string;
  prompt: string;
  found: string[];
  notFound: string[];
}

const longWord = 'Donaudampfschifffahrt'.repeat(150);
const longRun = '山高水长'.repeat(500);

/** The searches are separated by ` ¦ `. */
const ROWS: { what: string; prompt: string; found: string | string[]; notFound: string | string[] }[] = [
  {
    what: 'English',
    prompt: "A red fox jumps over the well-known bridge, it's 35 mm film",
    found: `FOX ¦ fo ¦ f ¦ jump bridg ¦ "red fox" ¦ well-known ¦ well-kno ¦ "it's 35" ¦ wolf or fox ¦ fox -wolf`,
    notFound:
      'ox ¦ foxes ¦ "ed fox" ¦ "red fo" ¦ "fox red" ¦ fox wolf ¦ fox -jumps ¦ wolf or bear ¦ -"red fox"',
  },
  {
    what: 'Russian',
    prompt: 'Рыжий Кот и зелёная ЁЛКА, чай',
    found: 'кот ¦ КОТ ¦ рыжий кот ¦ елка ¦ ёлка ¦ зеленая ¦ ЧАЙ ¦ чаи\u0306 ¦ ко ¦ "кот и"',
    notFound: 'от ¦ чаи ¦ котик ¦ "и кот" ¦ кот -чай',
  },
  {
    what: 'Ukrainian',
    prompt: 'Ґава та їжак п’ють чай із м’ятою, Євген і Європа',
    found: `ґава ¦ ЇЖАК ¦ і\u0308жак ¦ м'ятою ¦ мʼятою ¦ м’ят ¦ європа ¦ ЄВГЕН`,
    notFound: 'гава ¦ европа ¦ мятою',
  },
  {
    what: 'Greek',
    prompt: 'Η Γάτα του Οδυσσέα, ένας άντρας, ΠΡΆΣΙΝΟΣ ΟΥΡΑΝΌΣ',
    found: 'γατα ¦ ΓΑΤΑ ¦ γάτα ¦ οδυσσεα ¦ ΑΝΤΡΑΣ ¦ άντρας ¦ αντρασ ¦ πράσινος ¦ ουρανος ¦ \u1f00ντρας',
    notFound: 'τα ¦ γατες',
  },
  {
    what: 'Turkish',
    prompt: 'İstanbul’da IŞIK ve ılık çay, İĞNE',
    found:
      'istanbul ¦ ISTANBUL ¦ İSTANBUL ¦ ışık ¦ isik ¦ IŞIK ¦ ILIK ¦ ılık ¦ cay ¦ ÇAY ¦ iğne ¦ IGNE ¦ i\u0307stanbul',
    notFound: 'stanbul ¦ uşak',
  },
  {
    what: 'German',
    prompt: 'Eine Straße in MÜNCHEN, GROSSER Fuß, Donaudampfschifffahrt, ẞ',
    found:
      'strasse ¦ STRASSE ¦ straße ¦ straẞe ¦ munchen ¦ mu\u0308nchen ¦ großer ¦ fuss ¦ FUSS ¦ donaudampf ¦ stra ¦ ß',
    notFound: 'schifffahrt ¦ strase ¦ "donaudampf"',
  },
  {
    what: 'French',
    prompt: "L’Été à l'hôtel, un ŒUF sur la forêt; ça, c'est Noël «en or»",
    found: `ete ¦ ÉTÉ ¦ e\u0301te\u0301 ¦ hotel ¦ l'hotel ¦ oeuf ¦ œuf ¦ foret ¦ FORÊT ¦ ca ¦ noel ¦ «en or» ¦ en or`,
    notFound: 'uf ¦ "or en"',
  },
  {
    what: 'Vietnamese',
    prompt: 'Một tô Phở bò Đỏ ở Đà Nẵng',
    found: 'phở ¦ PHỞ ¦ pho ¦ pho bo ¦ đo ¦ do ¦ ĐỎ ¦ da nang ¦ nẵng ¦ na\u0306\u0303ng ¦ "tô phở"',
    notFound: 'ho ¦ "bo pho"',
  },
  {
    what: 'Polish and Scandinavian',
    prompt: 'Łódź, Østre Ærø, Åse og Þór, smørbrød',
    found: 'lodz ¦ łódź ¦ ŁÓDŹ ¦ ostre ¦ ÆRØ ¦ aero ¦ ase ¦ a\u030ase ¦ thor ¦ smorbrod ¦ SMØRBRØD',
    notFound: 'strre ¦ odz',
  },
  {
    what: 'Arabic',
    prompt: 'قِطَّةٌ حَمْرَاءُ أمامَ كتــاب على الطاولة',
    found: 'قطة ¦ قِطَّة ¦ حمراء ¦ امام ¦ أمام ¦ كتاب ¦ علي ¦ على ¦ کتاب ¦ قط ¦ "قطة حمراء"',
    notFound: 'طة ¦ كلب ¦ "حمراء قطة"',
  },
  {
    what: 'Persian',
    prompt: 'گربه می‌خواهد کتاب',
    found: 'می‌خواهد ¦ میخواهد ¦ گربه ¦ كتاب ¦ مي',
    notFound: 'ربه ¦ سگ',
  },
  {
    what: 'Hebrew',
    prompt: 'חָתוּל אָדֹם, צה"ל, שׁלום',
    found: 'חתול ¦ חָתוּל ¦ אדם ¦ צה"ל ¦ צה״ל ¦ שלום ¦ \ufb2aלום ¦ חת',
    notFound: 'תול ¦ כלב',
  },
  {
    what: 'Hindi',
    prompt: 'लाल बिल्ली और क़लम, हिन्दी',
    found: 'बिल्ली ¦ लाल बिल्ली ¦ क़लम ¦ क\u093cलम ¦ कलम ¦ हिन्दी ¦ हिन ¦ "लाल बिल्ली"',
    notFound: 'बल्ली ¦ कुत्ता ¦ हन्दी ¦ "बिल्ली लाल"',
  },
  {
    what: 'Thai',
    prompt: 'แมวดำนั่งใต้ต้นไม้ ดื่มน้ำ',
    found: 'แมว ¦ ดำ ¦ แมวดำ ¦ ต้นไม้ ¦ น้ำ ¦ ด\u0e4d\u0e32 ¦ ม ¦ "แมวดำ" ¦ แมว น้ำ ¦ แมว -หมา',
    notFound: 'หมา ¦ มวแ ¦ แมวขาว ¦ แมว -น้ำ ¦ ตน',
  },
  {
    what: 'Lao, Khmer and Burmese',
    prompt: 'ແມວດຳ ឆ្មាខ្មៅ ကြောင်နက်',
    found: 'ແມວ ¦ ດຳ ¦ ខ្មៅ ¦ ឆ្មា ¦ ကြောင် ¦ နက်',
    notFound: 'ໝາ ¦ ឆ្កែ ¦ ခွေး',
  },
  {
    what: 'Chinese',
    prompt: '一只白色的猫，坐在窗台上。傍晚的光线，35毫米',
    found:
      '猫 ¦ 白色的猫 ¦ 的猫 ¦ 窗台 ¦ 一只 ¦ 白 ¦ 上 ¦ 白色 窗台 ¦ "白色的猫" ¦ 35毫米 ¦ ３５毫米 ¦ 猫 -狗 ¦ 狗 or 猫 ¦ 35',
    notFound: '狗 ¦ 黑猫 ¦ 色白 ¦ 猫坐 ¦ 猫 -窗 ¦ 猫 -窗台 ¦ 白猫 ¦ 5毫',
  },
  {
    what: 'Japanese',
    prompt: 'ｶﾞﾗｽの向こうに座る白いネコ、コーヒー。ぱん',
    found:
      'ガラス ¦ ｶﾞﾗｽ ¦ カ\u3099ラス ¦ がらす ¦ ネコ ¦ ねこ ¦ ﾈｺ ¦ 白いねこ ¦ コーヒー ¦ ｺｰﾋｰ ¦ パン ¦ ﾊﾟﾝ ¦ 座る ¦ 向 ¦ 「白いネコ」',
    notFound: 'カラス ¦ いぬ ¦ バン ¦ 赤い ¦ コヒ',
  },
  {
    what: 'Korean',
    prompt: '검은고양이가 창가에 앉아 있다',
    found:
      '고양이 ¦ 고양 ¦ 검은고양이 ¦ 검은고양이가 ¦ 창가 ¦ 창 ¦ 앉아 있다 ¦ \u1100\u1169\u110b\u1163\u11bc\u110b\u1175 ¦ "창가에 앉아"',
    notFound: '강아지 ¦ 양고 ¦ 고양이는 ¦ 고양이 -창가',
  },
  {
    what: 'full-width and other compatibility forms',
    prompt: 'ＦＵＬＬ　ｗｉｄｔｈ ﬁsh ① ㍿ Ⅻ x² 𝐛𝐨𝐥𝐝 Ⓐ',
    found:
      'full ¦ ｆｕｌｌ ¦ FULL width ¦ fish ¦ ﬁsh ¦ 1 ¦ 株式会社 ¦ 株式 ¦ xii ¦ x2 ¦ bold ¦ ＂full width＂ ¦ －cat full',
    notFound: 'ull ¦ －full width',
  },
  {
    what: 'emoji',
    prompt: '🦊 and 👩🏽‍🚀, 👍🏿 👨‍👩‍👧, 🇫🇷🇩🇪 ❤️ flags🏁',
    found: '🦊 ¦ 👩🏽‍🚀 ¦ 👩‍🚀 ¦ 👩 ¦ 🚀 ¦ 👍 ¦ 👍🏻 ¦ 👨‍👩‍👧 ¦ 👧 ¦ 🇫🇷 ¦ 🇩🇪 ¦ ❤ ¦ ❤️ ¦ flags ¦ 🏁 ¦ flags🏁 ¦ 🦊 -🐱',
    notFound: '🐱 ¦ 🇮🇹 ¦ 💙 ¦ 👧👨 ¦ flags -🦊',
  },
  {
    what: 'invisible characters',
    prompt:
      'zero\u200bwidth, soft\u00adhyphen, join\u200der\u200c, \ufeffbom, \u202bbidi\u202c, word\u2060joiner',
    found:
      'zerowidth ¦ zero\u200dwidth ¦ softhyphen ¦ soft\u00adhyphen ¦ joiner ¦ bom ¦ \u200bbom ¦ bidi ¦ wordjoiner',
    notFound: 'width ¦ hyphen',
  },
  {
    what: 'mixed scripts',
    prompt: 'iPhone手机壳, кот-cat, T恤 v2, カメラcamera',
    found:
      'iphone ¦ iphone手机 ¦ IPHONE手 ¦ 手机 ¦ 手机壳 ¦ кот-cat ¦ кот ¦ cat ¦ t恤 ¦ 恤 v2 ¦ カメラcam ¦ camera ¦ メラ',
    notFound: 'phone ¦ 机手 ¦ iphone壳 ¦ ameracam',
  },
  {
    what: 'accents as characters of their own',
    prompt: 'cafe\u0301 A\u030angstro\u0308m на\u0301йти',
    found: 'café ¦ CAFÉ ¦ cafe ¦ ångström ¦ angstrom ¦ Ångström ¦ найти ¦ наи\u0306ти',
    notFound: 'caf\u00e9s ¦ наити',
  },
  {
    what: 'odd input',
    prompt: 'C:\\pictures\\fox.png, me@example.com; see "https://example.com/a?b=c" --ar 16:9 \ud83d x',
    found: `C:\\pictures\\fox.png ¦ example.com ¦ https://example.com/a?b=c ¦ "fox.png" ¦ --ar 16:9 ¦ fox!!! ¦ fox* ¦ fox:* ¦ (fox) ¦ fox & png ¦ fox | png ¦ !fox ¦ "fox ¦ fox" ¦ fox "" ¦ fox or or png ¦ fox' ¦ fox\\ ¦ fox \ud83d ¦ -wolf ¦ fox - png ¦ <fox> ¦ a -"" fox ¦ “fox.png” ¦ \u00a0fox\u2028png\t`,
    notFound: `' ¦ \\ ¦ ! ¦ " ¦ "" ¦ - ¦ \ud83d ¦ -fox ¦ - -fox ¦ \u200b ¦ & ¦ :* ¦ % ¦ f_x ¦ or ¦ or fox ¦ fox or`,
  },
  {
    what: 'very long words',
    prompt: `${longWord} fox ${longRun}`.slice(0, 4_000) + ' end',
    found: [
      longWord.slice(0, 500),
      longWord.slice(0, 21),
      longWord.slice(0, 101),
      'fox',
      '"fox 山高水长"',
      longRun.slice(0, 400),
      '山高',
      '长',
      'end',
    ],
    notFound: [`${longWord.slice(0, 300)}x`, longRun.slice(0, 300) + '山山', '水高', 'ende'],
  },
];

const listOf = (searches: string | string[]): string[] =>
  typeof searches === 'string' ? searches.split(' ¦ ') : searches;

export const SEARCH_TABLE: SearchCase[] = ROWS.map(({ what, prompt, found, notFound }) => ({
  what,
  prompt,
  found: listOf(found),
  notFound: listOf(notFound),
}));
